"""Signed requests between nodes: HTTPS pinned to the ledger's certificates, and an in-memory network that keeps the same laws."""

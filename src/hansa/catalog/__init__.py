"""Models as the ledger lists them: versions, where they come from, and whether they may be served."""

"""The round as a pure state machine: ledger events and own records are folded into a state, and the state says which duties are due.

A role never remembers what it was doing. After every change it asks `duties(state, own facts, now)` and carries out what is named and not
already under way; every duty is idempotent, so a node killed at any moment and restarted asks again and goes on (DESIGN, idea 6).
"""

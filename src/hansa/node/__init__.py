"""Roles as processes: each follows the ledger, folds it with its own journal into a state, and carries out the duties it names."""

"""The ledger port's adapters: embedded chain, JSON-RPC client, in-memory twin, bindings made from the contracts' interfaces."""

"""One class per contract. Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."""

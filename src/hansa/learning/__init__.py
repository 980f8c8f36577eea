"""How it is trained: strategies as pure functions, local training, a site's data; no IO but reading a site's own file."""

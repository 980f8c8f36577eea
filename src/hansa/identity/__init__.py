"""Who says what: keys, signed statements, envelopes and transport certificates; no sockets, no chain."""

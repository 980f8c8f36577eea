"""Worlds to try the protocol in: whole networks as processes on one machine, the demo, adversaries, and a world without any IO."""

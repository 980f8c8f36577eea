"""How sums of updates come together, with a hub or without: pure functions and state machines over integers, no IO."""

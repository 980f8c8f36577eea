"""What is trained: layouts, states, updates in integers, their bytes, and the declared architectures; numpy only, torch never at import."""

"""Words and ports that every other room uses; imports nothing of hansa."""

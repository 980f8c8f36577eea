"""Checking others' work: an anchor is recomputed from its blobs and judged; later, tasks are replayed and disputes narrowed."""

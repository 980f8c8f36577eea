"""The demo's scenes: each a story told on one running network, with checks that every figure comes from the run."""

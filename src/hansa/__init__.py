"""hansa: train models together without trusting each other; names live in the rooms below, see the README for the map."""

__version__ = "0.1.0"

"""Compression of updates: fewer bytes on the wire, each decoded exactly to integers on the round's public grid."""

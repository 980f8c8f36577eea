"""Blobs by digest: the tree that names them, stores that keep them, fetching that trusts nobody, encryption for chosen readers."""

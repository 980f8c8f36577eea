"""Keeps freed memory with the process: training frees and takes the same few megabytes at every step, and new pages cost a tenth of it."""

from __future__ import annotations

import ctypes
import sys

_TRIM, _MAP = -1, -3
"""glibc's M_TRIM_THRESHOLD and M_MMAP_THRESHOLD (mallopt(3))."""

_KEPT, _OWN = 256 << 20, 32 << 20


def keep_pages() -> None:
    """Give back to the system only what exceeds 256 MiB of free memory, and blocks above 32 MiB; nothing where there is no glibc."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MAP, _OWN)
        mallopt(_TRIM, _KEPT)

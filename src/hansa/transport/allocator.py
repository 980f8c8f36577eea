"""The C allocator's habit of giving memory back at once, which costs a bulk receiver more than the receiving itself."""

from __future__ import annotations

import ctypes
import functools
import platform

KEPT = 256 << 20
"""Bytes of freed memory that the process keeps for the next message."""

_LARGEST = 32 << 20
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


@functools.cache
def keep_freed_memory() -> bool:
    """Let glibc keep up to KEPT freed bytes and serve blocks below 32 MiB from them; whether that was possible here.

    Python's TLS makes a 256 KiB buffer for every 16 KiB record, and a message is joined from its parts; with glibc's defaults these pages
    go back to the kernel and come again, cleared, for every message: measured, twice the CPU time of receiving a blob.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, KEPT) and libc.mallopt(_MMAP_THRESHOLD, _LARGEST))

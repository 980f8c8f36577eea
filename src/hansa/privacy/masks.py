"""Masks of secure aggregation: pseudo-random vectors that are added to an update and cancel in the sum, modulo 2^32 (Bell et al. 2020).

y_i = x_i + mask(own_i) + sum_{j > i} mask(pair_ij) - sum_{j < i} mask(pair_ij) mod 2^32. The sum over clients leaves the own masks, which
the clients disclose, and the pair masks with those who dropped out.

The keystream starts at the same place for every key: a key masks one vector in one round. Used for two, it would show their difference.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from hansa.core.errors import FormatError

KEY_BYTES = 16

_CHUNK = 1 << 18
"""Bytes of keystream at a time: they are still in the cache when they are added."""

_ZEROS = bytes(_CHUNK)


def add_masks(vector: NDArray[np.uint32], keys: Iterable[bytes]) -> None:
    """Adds each key's mask to the vector (d,), in place, modulo 2^32."""
    for key in keys:
        _mask(vector, key, np.add)


def subtract_masks(vector: NDArray[np.uint32], keys: Iterable[bytes]) -> None:
    """Subtracts each key's mask from the vector (d,), in place, modulo 2^32."""
    for key in keys:
        _mask(vector, key, np.subtract)


def _mask(vector: NDArray[np.uint32], key: bytes, change: np.ufunc) -> None:
    """The mask is the AES-128-CTR keystream from counter zero, read as little-endian 32-bit integers."""
    if vector.dtype != np.uint32 or vector.ndim != 1:
        raise FormatError(f"a masked vector is uint32 of shape (d,), not {vector.dtype} of shape {vector.shape}")
    if len(key) != KEY_BYTES:
        raise FormatError(f"a mask's key has {KEY_BYTES} bytes, not {len(key)}")
    stream = Cipher(AES(key), CTR(bytes(16))).encryptor()
    # The interface asks for room beyond what a stream cipher writes.
    buffer = bytearray(_CHUNK + 15)
    numbers = np.frombuffer(buffer, "<u4", _CHUNK // 4)
    for start in range(0, vector.size, _CHUNK // 4):
        part = vector[start : start + _CHUNK // 4]
        stream.update_into(memoryview(_ZEROS)[: 4 * part.size], buffer)
        change(part, numbers[: part.size], out=part)

"""A text as rows for a language model: windows of bytes, each a token."""

from __future__ import annotations

import numpy as np

from hansa.core.errors import DataError
from hansa.learning.examples import Examples

MAX_VALUES = 1 << 30


def windows(text: bytes, context: int, stride: int | None = None) -> Examples:
    """Rows of context + 1 bytes, float32 (n, context + 1), one every `stride` bytes, with labels of zero.

    Without a stride each row begins with its predecessor's last byte, so that every byte but the first is predicted once; what is left at
    the end and fills no row is dropped. DataError when the text is shorter than one row, or the rows would hold more than 2^30 values.
    """
    step = context if stride is None else stride
    if context < 1 or step < 1:
        raise DataError(f"windows have a context and a stride of at least 1, not {context} and {step}")
    if len(text) <= context:
        raise DataError(f"a text of {len(text)} bytes is too short for a context of {context}; it needs one byte more than the context")
    if ((len(text) - context - 1) // step + 1) * (context + 1) > MAX_VALUES:
        raise DataError(f"a text of {len(text)} bytes cut every {step} gives more than 2^30 values; use a larger stride")
    rows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(text, np.uint8), context + 1)[::step]
    return Examples(rows.astype(np.float32), np.zeros(len(rows), np.int64))

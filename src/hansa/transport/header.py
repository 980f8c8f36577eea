"""The envelope as one HTTP header: base64url of its JSON, without padding."""

from __future__ import annotations

import base64
import binascii

from hansa.core.encoding import decode, encode
from hansa.core.errors import FormatError
from hansa.core.types import Envelope

NAME = "hansa-envelope"
MAX_SIZE = 2048
"""Characters of a header; an honest one has about 700."""


def to_header(envelope: Envelope) -> str:
    """The header's value, ASCII."""
    return base64.urlsafe_b64encode(encode(envelope)).rstrip(b"=").decode()


def from_header(value: bytes) -> Envelope:
    """The envelope in a header's value; FormatError when it is anything else. Nothing in it has been verified."""
    if len(value) > MAX_SIZE:
        raise FormatError(f"the {NAME} header has {len(value)} bytes; at most {MAX_SIZE} are allowed")
    try:
        data = base64.b64decode(value + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise FormatError(f"the {NAME} header is not base64url") from error
    return decode(data, Envelope, limit=MAX_SIZE)

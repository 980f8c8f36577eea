from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.errors import FormatError
from hansa.core.types import Address, Envelope
from hansa.identity.envelope import seal
from hansa.identity.keys import AccountKey
from hansa.identity.typed import Domain
from hansa.transport.header import MAX_SIZE, from_header, to_header

KEY = AccountKey(b"\x01" * 32)


def test_an_envelope_survives_the_header_and_fits_it() -> None:
    domain = Domain(2**256 - 1, Address("0x" + "ab" * 20))
    envelope = seal(KEY, domain, recipient=KEY.address, kind="x" * 32, body_digest=bytes(32), now=1e9, job=2**256 - 1, round=2**32 - 1)
    header = to_header(envelope)
    assert from_header(header.encode()) == envelope
    assert len(header) < MAX_SIZE / 2
    assert header.isascii() and not set(header) & set("+/= \r\n")


@given(st.binary(max_size=400) | st.text(alphabet="abcABC019-_", max_size=400).map(str.encode))
def test_any_other_bytes_are_refused(value: bytes) -> None:
    with pytest.raises(FormatError):
        from_header(value)


def test_a_long_header_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(FormatError, match="at most 2048"):
        from_header(b"e" * (MAX_SIZE + 1))


def test_an_envelope_with_an_unknown_or_missing_field_is_refused() -> None:
    envelope = Envelope(KEY.address, KEY.address, "x", 0, 0, bytes(32), bytes(32), 0, bytes(65))
    good = to_header(envelope).encode()
    text = base64.urlsafe_b64decode(good + b"=" * (-len(good) % 4))
    for changed in (text.replace(b'"job":0', b'"job":0,"extra":1'), text.replace(b'"job":0,', b""), text.replace(b'"job":0', b'"job":"0"')):
        assert changed != text
        with pytest.raises(FormatError):
            from_header(base64.urlsafe_b64encode(changed).rstrip(b"="))

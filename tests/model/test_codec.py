import json
import struct

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.encoding import sha256
from hansa.core.errors import FormatError
from hansa.model import codec
from hansa.model.layout import Layout, Tensor
from hansa.model.state import ModelState

LAYOUT = Layout((Tensor("bias", (2,)), Tensor("weight", (2, 3))))
STATE = ModelState(LAYOUT, np.arange(8, dtype=np.float32) / 8)
BYTES = codec.encode(STATE)


def file(header: object, body: bytes, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entries(**changes: object) -> dict[str, object]:
    bias = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return {"bias": bias, "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]}} | changes


def test_bytes_are_frozen() -> None:
    assert sha256(BYTES).hex() == "aea1f259a974e13bee889612ff871c1879c28929d05a53862b54464d38386a22"


def test_bytes_are_those_of_safetensors_and_come_back() -> None:
    assert safetensors.numpy.save(STATE.tensors()) == BYTES
    assert codec.decode(BYTES, LAYOUT) == STATE
    assert codec.decode(memoryview(BYTES), LAYOUT) == STATE
    read = safetensors.numpy.load(BYTES)
    assert all((read[name] == tensor).all() for name, tensor in STATE.tensors().items())


def test_decoding_does_not_copy() -> None:
    assert np.shares_memory(codec.decode(BYTES, LAYOUT).vector, np.frombuffer(BYTES, np.uint8))


BODY = BYTES[-32:]
F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "too short"),
        (BYTES[:7], "too short"),
        (file(entries(), BODY, length=1 << 62), "header of"),
        (file(entries(), BODY, length=1 << 21), "header of"),
        (file(b"not json", BODY), "not that of safetensors"),
        (file(b"[" * 100_000, BODY), "not that of safetensors"),
        (file({"__metadata__": {"format": "pt"}, **entries()}, BODY), "__metadata__"),
        (file(entries(extra=F32), BODY + BODY[:8]), "extra"),
        (file({"bias": F32}, BODY[:8]), "lacks tensor weight"),
        (file(entries(bias={**F32, "dtype": "F16"}), BODY), "tensor bias must be F32"),
        (file(entries(bias={**F32, "shape": [1, 2]}), BODY), "tensor bias must be F32"),
        (BYTES + b"\0", "bytes was sent"),
        (BYTES[:-4], "bytes was sent"),
        (file(entries(bias={**F32, "data_offsets": [24, 32]}), BODY), "canonical"),
        (file(dict(reversed(entries().items())), BODY), "canonical"),
        (BYTES[:-4] + struct.pack("<f", float("nan")), "not finite"),
        (BYTES[:-4] + struct.pack("<f", float("inf")), "not finite"),
    ],
)
def test_malformed_files_get_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(FormatError, match=sentence) as caught:
        codec.decode(data, LAYOUT)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        codec.decode(data, LAYOUT)


@given(st.integers(0, len(BYTES) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_gives_another_state(place: int, change: int) -> None:
    data = bytearray(BYTES)
    data[place] ^= change
    try:
        state = codec.decode(bytes(data), LAYOUT)
    except FormatError:
        return
    assert state != STATE and codec.encode(state) == bytes(data)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=8, max_size=8))
def test_every_finite_state_round_trips(values: list[float]) -> None:
    state = ModelState(LAYOUT, np.array(values, np.float32))
    assert codec.decode(codec.encode(state), LAYOUT) == state

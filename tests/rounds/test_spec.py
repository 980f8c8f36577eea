from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.errors import DigestMismatch, FormatError
from hansa.model.architectures import Mlp, Objective
from hansa.rounds import spec as specs
from hansa.rounds.spec import read_spec, write_spec
from tests.rounds.logistic import SPEC, job


def test_a_spec_survives_writing_and_reading_and_has_one_name() -> None:
    written = write_spec(SPEC)
    read = read_spec(written, sha256(written))
    assert read == SPEC and write_spec(read) == written and read.layout == SPEC.layout and read.pipeline == SPEC.pipeline


def test_everybody_derives_the_same_public_scales_and_the_rounds_own_format() -> None:
    assert set(SPEC.pipeline.grid.scales) == {1.0 / 32767} and len(SPEC.pipeline.grid.scales) == len(SPEC.layout.tensors)
    state = job()
    shape = SPEC.update_format(state)
    assert (shape.job, shape.round, shape.base, shape.spec, shape.max_weight) == (state.id, 1, state.base, state.terms.spec, 100)


def test_bytes_of_another_digest_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(DigestMismatch, match="does not match the digest on the ledger"):
        read_spec(b"not even json", b"d" * 32)


def test_r18_a_spec_of_another_protocol_is_left_alone() -> None:
    with pytest.raises(FormatError, match="of protocol 'hansa/2', this node speaks 'hansa/1'; it abstains"):
        replace(SPEC, protocol="hansa/2")


@pytest.mark.parametrize(
    "change",
    [
        {"max_weight": 0},
        {"max_weight": (1 << 20) + 1},
        {"seed": -1},
        {"seed": 1 << 53},
        {"bits": 8},
        {"objective": Objective.CATEGORICAL},
        {"architecture": Mlp(3, (4,), 2)},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        replace(SPEC, **change)


def test_a_spec_beyond_the_bound_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = write_spec(SPEC)
    monkeypatch.setattr(specs, "MAX_SPEC", 64)
    with pytest.raises(FormatError, match="exceeds the limit of 64"):
        read_spec(written, sha256(written))


@given(st.sampled_from(sorted(json.loads(write_spec(SPEC)))), st.sampled_from([None, -1, "x", [], {}, 1e400, True]))
def test_a_strangers_spec_is_either_whole_or_refused(field: str, value: object) -> None:
    page = json.loads(write_spec(SPEC))
    page[field] = value
    data = json.dumps(page).encode()
    try:
        read = read_spec(data, sha256(data))
    except FormatError:
        return
    assert getattr(read, field) == value

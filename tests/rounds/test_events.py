from __future__ import annotations

import msgspec
import pytest

from hansa.core.errors import ProtocolError
from hansa.rounds import events as facts
from hansa.rounds.events import KNOWN, WITHOUT_EFFECT, decode_event


def test_a_log_becomes_the_fact_of_its_name() -> None:
    fact = decode_event("Challenged", {"job": 7, "round": 2, "attempt": 1, "challenger": "0xab", "voids_at": 99}, 50)
    assert fact == facts.Challenged(job=7, at=50, round=2, attempt=1, challenger="0xab", voids_at=99)


def test_acceptance_has_the_contracts_own_name() -> None:
    fact = decode_event("Accepted", {"job": 7, "milestone": 1, "model": b"m", "metric": 5, "baseline": 4}, 1)
    assert isinstance(fact, facts.ModelAccepted)


def test_money_alone_is_no_fact() -> None:
    assert decode_event("BondLost", {"job": 7}, 1) is None
    assert not WITHOUT_EFFECT & KNOWN.keys()


def test_an_unknown_name_is_refused_and_not_guessed() -> None:
    with pytest.raises(ProtocolError, match="'RoundTeleported', which this version of the protocol does not know"):
        decode_event("RoundTeleported", {"job": 7}, 1)


def test_a_log_of_another_shape_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        decode_event("Challenged", {"job": 7, "round": "two"}, 1)

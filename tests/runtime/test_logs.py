"""Logs: one JSON object a line, with the injected time and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from hansa.core.clock import ManualClock
from hansa.runtime import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    text = io.StringIO()
    handler = logs.set_up(ManualClock(1_700_000_000.25), text, node="bremen")
    yield text
    logging.getLogger("hansa").removeHandler(handler)
    logging.getLogger("hansa").propagate = True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_a_record_is_one_object(stream: io.StringIO) -> None:
    logging.getLogger("hansa.rounds").info("round %s opened", 3, extra={"job": 7, "trainers": ("a", "b")})
    assert lines(stream) == [
        {
            "time": "2023-11-14T22:13:20.250+00:00",
            "level": "info",
            "logger": "hansa.rounds",
            "event": "round 3 opened",
            "node": "bremen",
            "job": 7,
            "trainers": ["a", "b"],
        }
    ]


@pytest.mark.parametrize("name", ["password", "private_key", "key", "api_token", "seed", "mnemonic", "Secret"])
def test_secrets_are_left_out_at_any_depth(stream: io.StringIO, name: str) -> None:
    logging.getLogger("hansa").warning("careful", extra={name: "hunter2", "outer": {"inner": [{name: b"hunter2"}], "fine": 1}})
    assert "hunter2" not in stream.getvalue() and b"hunter2".hex() not in stream.getvalue()
    assert lines(stream)[0][name] == "[secret]"
    assert lines(stream)[0]["outer"] == {"inner": [{name: "[secret]"}], "fine": 1}


def test_bytes_are_recognisable_and_not_whole(stream: io.StringIO) -> None:
    logging.getLogger("hansa").info("anchored", extra={"digest": bytes(range(32))})
    assert lines(stream)[0]["digest"] == "00010203... (32 bytes)"


def test_line_breaks_stay_inside_the_object(stream: io.StringIO) -> None:
    logging.getLogger("hansa").info('a\nb"\u2028', extra={"peer": "x\r\ny"})
    assert len(stream.getvalue().split("\n")) == 2
    assert lines(stream)[0]["event"] == 'a\nb"\u2028'


def test_errors_carry_their_trace(stream: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("hansa").exception("failed")
    assert str(lines(stream)[0]["error"]).endswith("ValueError: no")


def test_setting_up_again_replaces_and_levels_hold(stream: io.StringIO) -> None:
    second = io.StringIO()
    handler = logs.set_up(ManualClock(), second, level="WARNING")
    logging.getLogger("hansa.x").info("quiet")
    logging.getLogger("hansa.x").error("loud")
    assert stream.getvalue() == "" and [line["event"] for line in lines(second)] == ["loud"]
    logging.getLogger("hansa").removeHandler(handler)

"""Logs become events with names: structs, lists and indexed values included."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode

from hansa.chain import artifacts
from hansa.chain.artifacts import Entry, Parameter
from hansa.chain.events import Decoder, Event, arguments
from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.ports import Log
from hansa.core.types import Address

AT = Address("0x" + "c0" * 20)
WHO = "0x" + "a1" * 20
DECODER = Decoder({AT: "HansaToken"})
TRANSFER = keccak(b"Transfer(address,address,uint256)")


def word(value: int | str) -> bytes:
    return encode(["uint256" if isinstance(value, int) else "address"], [value])


def log(topics: tuple[bytes, ...], data: bytes, address: str = AT) -> Log:
    return Log(address, topics, data, 7, b"\x07" * 32, 3, b"\x09" * 32)


def test_an_event_of_ours_is_named() -> None:
    found = DECODER.decode(log((TRANSFER, word(WHO), word(AT)), word(5)), timestamp=99)
    assert found == Event("HansaToken", "Transfer", {"from": WHO, "to": AT, "value": 5}, 7, b"\x07" * 32, 3, b"\x09" * 32, 99)
    assert DECODER.addresses == [AT]


@pytest.mark.parametrize(
    "foreign", [log((), b""), log((b"\0" * 32,), b""), log((TRANSFER, word(WHO), word(AT)), word(5), address="0x" + "00" * 20)]
)
def test_what_is_not_ours_is_none(foreign: Log) -> None:
    assert DECODER.decode(foreign) is None


@pytest.mark.parametrize("broken", [log((TRANSFER, word(WHO)), word(5)), log((TRANSFER, word(WHO), word(AT)), b"\0")])
def test_bytes_that_do_not_fit_are_refused(broken: Log) -> None:
    with pytest.raises(FormatError):
        DECODER.decode(broken)


def test_structs_become_dictionaries_at_any_depth() -> None:
    inner = Parameter("tuple[]", "manyThings", (Parameter("bytes32", "theDigest"), Parameter("uint8[]", "smallOnes")))
    outer = Parameter("tuple", "wholeStory", (Parameter("uint64", "jobId"), inner))
    entry = Entry("event", "Told", (Parameter("string", "title", indexed=True), outer, Parameter("uint256", "")))
    value = (5, [(b"\x01" * 32, [1, 2]), (b"\x02" * 32, [])])
    data = encode(["(uint64,(bytes32,uint8[])[])", "uint256"], [value, 9])
    title = keccak(b"the title")
    assert arguments(entry, log((keccak(entry.signature.encode()), title), data)) == {
        "title": title,  # of what is long the chain keeps only the hash
        "whole_story": {
            "job_id": 5,
            "many_things": (
                {"the_digest": b"\x01" * 32, "small_ones": (1, 2)},
                {"the_digest": b"\x02" * 32, "small_ones": ()},
            ),
        },
        "arg2": 9,
    }


def test_every_event_of_every_contract_has_distinct_argument_names() -> None:
    for name in artifacts.names():
        for entry in artifacts.load(name).of_kind("event"):
            names = [artifacts.snake(parameter.name) for parameter in entry.inputs]
            assert len(set(names)) == len(names), f"{name}.{entry.name}"

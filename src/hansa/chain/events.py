"""Logs as events with names: arguments in snake_case, structs as dictionaries, addresses in lower case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hansa.chain import abi, artifacts
from hansa.chain.artifacts import Entry, Parameter, snake
from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.ports import Log
from hansa.core.types import Address


class Event(msgspec.Struct, frozen=True):
    """What one of our contracts said; `index` is the log's place in its block, `timestamp` its block's (0: not asked)."""

    contract: str
    name: str
    args: dict[str, object]
    block: int
    block_hash: bytes
    index: int
    transaction: bytes
    timestamp: int = 0


class Decoder:
    """Knows the events of the contracts at the given addresses (address to contract name)."""

    def __init__(self, contracts: Mapping[Address, str]) -> None:
        self._names = {address.lower(): name for address, name in contracts.items()}
        self._events = {name: _events(name) for name in set(contracts.values())}

    @property
    def addresses(self) -> list[Address]:
        return [Address(address) for address in self._names]

    def decode(self, log: Log, timestamp: int = 0) -> Event | None:
        """The event, or None for a log that is none of our contracts' events; FormatError when its bytes do not fit its interface."""
        name = self._names.get(log.address)
        entry = self._events[name].get(log.topics[0]) if name is not None and log.topics else None
        if name is None or entry is None:
            return None
        return Event(name, entry.name, arguments(entry, log), log.block, log.block_hash, log.index, log.transaction, timestamp)


def _events(name: str) -> dict[bytes, Entry]:
    return {keccak(entry.signature.encode()): entry for entry in artifacts.load(name).of_kind("event") if not entry.anonymous}


def arguments(entry: Entry, log: Log) -> dict[str, object]:
    """A log's values by name; FormatError when it does not fit the interface."""
    indexed = [parameter for parameter in entry.inputs if parameter.indexed]
    if len(indexed) != len(log.topics) - 1:
        raise FormatError(
            f"a log of {entry.name} has {len(log.topics) - 1} indexed values, its interface {len(indexed)}; check the addresses"
        )
    body = iter(abi.decode([parameter.canonical for parameter in entry.inputs if not parameter.indexed], log.data))
    topics = iter(log.topics[1:])
    found: dict[str, object] = {}
    for place, parameter in enumerate(entry.inputs):
        value = _topic(parameter, next(topics)) if parameter.indexed else _named(parameter, next(body))
        found[snake(parameter.name) or f"arg{place}"] = value
    return found


def _topic(parameter: Parameter, topic: bytes) -> object:
    """An indexed value; of strings, bytes, arrays and structs the chain keeps only the hash."""
    if parameter.components or parameter.type in ("string", "bytes") or parameter.type.endswith("]"):
        return topic
    return abi.decode((parameter.type,), topic)[0]


def _named(parameter: Parameter, value: object) -> object:
    if parameter.type.endswith("]"):
        inner = msgspec.structs.replace(parameter, type=parameter.type[: parameter.type.rindex("[")])
        return tuple([_named(inner, member) for member in _sequence(value)])
    if parameter.components:
        return {
            snake(member.name) or f"arg{place}": _named(member, part)
            for place, (member, part) in enumerate(zip(parameter.components, _sequence(value), strict=True))
        }
    return value


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple | list) else ()

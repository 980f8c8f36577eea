"""Contracts as Python objects over anything that executes EVM calls; built from the compiled artefacts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from eth_abi import decode, encode
from eth_utils import keccak, to_checksum_address

# The mutation tests point this at artefacts with a planted bug.
ARTIFACTS = Path(os.environ.get("HANSA_TEST_ARTIFACTS", Path(__file__).resolve().parents[2] / "src/hansa/chain/artifacts"))
Json = dict[str, Any]


class Revert(Exception):
    """A call the contract refused: the custom error's name and arguments."""

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        super().__init__(name, args)
        self.name, self.arguments = name, args


@contextmanager
def refused(name: str, *args: Any) -> Iterator[None]:
    """The block must be refused with this custom error, and with these arguments where they are given."""
    try:
        yield
    except Revert as refusal:
        assert refusal.name == name, f"refused with {refusal}, expected {name}"
        given = tuple(arg.lower() if isinstance(arg, str) else arg for arg in refusal.arguments)
        wanted = tuple(arg.lower() if isinstance(arg, str) else arg for arg in args)
        assert not args or given == wanted, f"{name}{given}, expected {wanted}"
    else:
        raise AssertionError(f"not refused; expected {name}")


@dataclass(frozen=True)
class Log:
    address: str
    topics: list[bytes]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """What a transaction left behind: decoded events of every contract, the gas it used, what it returned."""

    events: list[SimpleNamespace]
    gas: int
    value: Any

    def all(self, name: str) -> list[SimpleNamespace]:
        return [event for event in self.events if event.event == name]

    def one(self, name: str) -> SimpleNamespace:
        found = self.all(name)
        assert len(found) == 1, f"{len(found)} events {name} among {[event.event for event in self.events]}"
        return found[0]


class Executor(Protocol):
    """An EVM: deploys code, executes calls, moves time, and can go back to a snapshot."""

    def deploy(self, code: bytes, sender: str) -> str: ...
    def transact(self, to: str, data: bytes, sender: str) -> tuple[bytes, list[Log], int]: ...
    def call(self, to: str, data: bytes, sender: str) -> bytes: ...


def load(name: str, folder: Path = ARTIFACTS) -> Json:
    return json.loads((folder / f"{name}.json").read_text())


def kind(item: Json) -> str:
    if not item["type"].startswith("tuple"):
        return item["type"]
    return "(" + ",".join(kind(part) for part in item["components"]) + ")" + item["type"][5:]


def kinds(items: list[Json]) -> list[str]:
    return [kind(item) for item in items]


def signature(entry: Json) -> bytes:
    return keccak(text=f"{entry['name']}({','.join(kinds(entry['inputs']))})")


def plain(item: Json, value: Any) -> Any:
    """Named fields where the ABI has names; checksummed addresses."""
    if item["type"].endswith("]"):
        inner = {**item, "type": item["type"][: item["type"].rindex("[")]}
        return [plain(inner, part) for part in value]
    if item["type"] == "tuple":
        parts = zip(item["components"], value, strict=True)
        return SimpleNamespace(**{part["name"]: plain(part, inner) for part, inner in parts})
    return to_checksum_address(value) if item["type"] == "address" else value


def raw(value: Any) -> Any:
    """The tuples eth_abi wants, from objects with a `row` method, contracts and sequences."""
    if hasattr(value, "row"):
        return value.row()
    if isinstance(value, Contract):
        return value.address
    return [raw(part) for part in value] if isinstance(value, list | tuple) else value


@cache
def known() -> tuple[dict[bytes, Json], dict[tuple[bytes, int], Json]]:
    """Errors by selector, events by topic and number of topics, of all contracts: an error keeps its bytes through calls."""
    errors: dict[bytes, Json] = {}
    events: dict[tuple[bytes, int], Json] = {}
    for path in sorted(ARTIFACTS.glob("*.json")):
        for entry in json.loads(path.read_text())["abi"]:
            if entry["type"] == "error":
                errors[signature(entry)[:4]] = entry
            elif entry["type"] == "event":
                indexed = sum(item["indexed"] for item in entry["inputs"])
                events[signature(entry), 1 + indexed] = entry
    return errors, events


def revert_from(data: bytes) -> Revert:
    if data[:4] == bytes.fromhex("4e487b71"):
        return Revert("Panic", decode(["uint256"], data[4:]))
    entry = known()[0].get(data[:4])
    if entry is None:
        return Revert("0x" + data.hex())
    return Revert(entry["name"], decode(kinds(entry["inputs"]), data[4:]))


def decode_events(logs: list[Log]) -> Iterator[SimpleNamespace]:
    for log in logs:
        entry = known()[1].get((log.topics[0], len(log.topics)))
        if entry is None:
            continue
        topics = iter(log.topics[1:])
        body = [item for item in entry["inputs"] if not item["indexed"]]
        values = iter(decode(kinds(body), log.data))
        fields: Json = {}
        for item in entry["inputs"]:
            value = decode([kind(item)], next(topics))[0] if item["indexed"] else next(values)
            fields[item["name"]] = plain(item, value)
        yield SimpleNamespace(event=entry["name"], emitter=to_checksum_address(log.address), **fields)


class Contract:
    """A deployed contract; its functions are methods, `sender` says who calls."""

    def __init__(self, evm: Executor, abi: list[Json], address: str) -> None:
        self.evm, self.address = evm, to_checksum_address(address)
        self._functions: dict[str, Json] = {entry["name"]: entry for entry in abi if entry["type"] == "function"}

    @classmethod
    def deploy(cls, evm: Executor, artefact: Json, *args: Any, sender: str) -> Contract:
        abi = artefact["abi"]
        inputs = next((entry["inputs"] for entry in abi if entry["type"] == "constructor"), [])
        code = bytes.fromhex(artefact["bytecode"][2:]) + encode(kinds(inputs), [raw(arg) for arg in args])
        return cls(evm, abi, evm.deploy(code, sender))

    def __getattr__(self, name: str) -> Any:
        try:
            entry = self._functions[name]
        except KeyError:
            raise AttributeError(name) from None
        prefix, types = signature(entry)[:4], kinds(entry["inputs"])

        def decoded(data: bytes) -> Any:
            values = decode(kinds(entry["outputs"]), data)
            results = [plain(item, value) for item, value in zip(entry["outputs"], values, strict=True)]
            return results[0] if len(results) == 1 else tuple(results)

        def method(*args: Any, sender: str = "0x" + "11" * 20) -> Any:
            data = prefix + encode(types, [raw(arg) for arg in args])
            if entry["stateMutability"] in ("view", "pure"):
                return decoded(self.evm.call(self.address, data, sender))
            output, logs, gas = self.evm.transact(self.address, data, sender)
            return Receipt(list(decode_events(logs)), gas, decoded(output) if entry["outputs"] else None)

        self.__dict__[name] = method
        return method

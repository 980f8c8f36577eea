"""What the Solidity compiler left in the package: each contract's interface, creation code and deployed code."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

import msgspec

from hansa.chain import abi
from hansa.core.errors import ConfigError


class Parameter(msgspec.Struct, frozen=True, rename="camel"):
    """A named, typed value; tuples carry their members and the Solidity name of their struct."""

    type: str
    name: str = ""
    components: tuple[Parameter, ...] = ()
    indexed: bool = False
    internal_type: str = ""

    @property
    def canonical(self) -> str:
        """The type as signatures write it, structs unfolded."""
        return listing(self.components) + self.type.removeprefix("tuple") if self.type.startswith("tuple") else self.type


def listing(parameters: Sequence[Parameter]) -> str:
    return "(" + ",".join([parameter.canonical for parameter in parameters]) + ")"


class Entry(msgspec.Struct, frozen=True, rename="camel"):
    """One line of an interface: a function, an event, an error or the constructor."""

    type: str
    name: str = ""
    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    state_mutability: str = ""
    anonymous: bool = False

    @property
    def signature(self) -> str:
        return self.name + listing(self.inputs)


class Artifact(msgspec.Struct, frozen=True, rename="camel"):
    contract_name: str
    abi: tuple[Entry, ...]
    bytecode: str
    deployed_bytecode: str

    def of_kind(self, kind: str) -> list[Entry]:
        return [entry for entry in self.abi if entry.type == kind]

    def creation(self, *arguments: object) -> bytes:
        """Creation code followed by the constructor's encoded arguments; FormatError when they do not fit."""
        inputs = next((entry.inputs for entry in self.of_kind("constructor")), ())
        return bytes.fromhex(self.bytecode[2:]) + abi.encode([parameter.canonical for parameter in inputs], arguments)


def snake(name: str) -> str:
    """camelCase or UPPER_CASE as snake_case, leading and trailing underscores off."""
    name = name.strip("_")
    if name.isupper():
        return name.lower()
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


_FOLDER = resources.files("hansa.chain") / "artifacts"


@cache
def load(name: str) -> Artifact:
    """One contract's artefact; ConfigError when the package holds none of that name."""
    file = _FOLDER / f"{name}.json"
    if not name.isidentifier() or not file.is_file():
        raise ConfigError(f"there is no artefact of a contract {name!r} in the package; run `make contracts`")
    try:
        return msgspec.json.decode(file.read_bytes(), type=Artifact)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the artefact of {name} is damaged ({error}); run `make contracts`") from error


def names() -> list[str]:
    """Every contract and interface with an artefact, in alphabetical order."""
    return sorted(entry.name.removesuffix(".json") for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))

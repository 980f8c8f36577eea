"""The contracts' binary interface: functions, events and errors encoded and decoded by their signatures (Solidity ABI, version 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec
from eth_abi import abi as eth_abi
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.grammar import TupleType, parse

from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.ports import Call, Ledger

T = TypeVar("T")


def types_of(listing: str) -> tuple[str, ...]:
    """The member types of a parenthesised list such as "(uint256,(bytes32,address)[])"."""
    if listing == "()":
        return ()
    parsed = parse(listing)
    if not isinstance(parsed, TupleType):
        raise FormatError(f"{listing!r} is not a parenthesised list of types")
    return tuple([part.to_type_str() for part in parsed.components])


def plain(value: object) -> object:
    """Structs as the tuples that the encoder takes, at any depth."""
    if isinstance(value, msgspec.Struct):
        return tuple([plain(member) for member in msgspec.structs.astuple(value)])
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    return value


def encode(types: Sequence[str], values: Sequence[object]) -> bytes:
    """ABI encoding of the values; FormatError when one does not fit its type."""
    try:
        return eth_abi.encode(types, [plain(value) for value in values])
    except (EncodingError, TypeError, ValueError) as error:
        raise FormatError(f"the arguments do not fit ({', '.join(types)}): {error}") from error


def decode(types: Sequence[str], data: bytes) -> tuple[object, ...]:
    """Values of ABI-encoded bytes, addresses in lower case; FormatError when the bytes are too short or out of range."""
    try:
        return tuple(eth_abi.decode(types, data))
    except (DecodingError, OverflowError, UnicodeDecodeError, ValueError) as error:
        raise FormatError(f"{len(data)} bytes do not decode as ({', '.join(types)}): {error}") from error


class Function:
    """One function of a contract; its selector is the first four bytes of keccak over the signature."""

    __slots__ = ("inputs", "name", "outputs", "selector")

    def __init__(self, signature: str, returns: str = "()") -> None:
        self.name, listing = signature[: signature.index("(")], signature[signature.index("(") :]
        self.selector = keccak(signature.encode())[:4]
        self.inputs, self.outputs = types_of(listing), types_of(returns)

    def call(self, to: str, *values: object) -> Call:
        """A call ready to send or read; FormatError when a value does not fit."""
        return Call(to=to, data=self.selector + encode(self.inputs, values), label=self.name)

    def view(self, shape: Callable[[tuple[object, ...]], T], to: str, *values: object) -> View[T]:
        return View(self.call(to, *values), lambda data: shape(decode(self.outputs, data)))


class View(Generic[T]):
    """A read that knows what it returns."""

    __slots__ = ("call", "decode")

    def __init__(self, call: Call, decode: Callable[[bytes], T]) -> None:
        self.call, self.decode = call, decode

    async def read(self, ledger: Ledger) -> T:
        """The value at the ledger's head; Reverted when the contract refuses, FormatError when there is no such contract."""
        return self.decode(await ledger.call(self.call))


def one(shape: type[T]) -> Callable[[tuple[object, ...]], T]:
    """The decoder of a single return value."""
    return lambda values: msgspec.convert(values[0], shape)


def several(shape: type[T]) -> Callable[[tuple[object, ...]], T]:
    """The decoder of several return values, as a tuple type."""
    return lambda values: msgspec.convert(values, shape)

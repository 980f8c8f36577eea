"""EIP-712 for structs of static and byte-string fields: type hashes and domain separators are computed once.

digest = keccak(0x1901 ‖ separator ‖ keccak(typeHash ‖ encode(v1) ‖ ... ‖ encode(vn)))          (EIP-712)
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

import msgspec

from hansa.core.encoding import keccak
from hansa.core.errors import FormatError
from hansa.core.types import Address, Digest
from hansa.identity.keys import is_address

_SIGNATURE = re.compile(r"([A-Za-z_]\w*)\((.*)\)")
_FIELD = re.compile(r"(\w+) ([A-Za-z_]\w*)")
_INTEGER = re.compile(r"(u?)int(\d{1,3})")

_SHORT = 64
"""Strings up to this length are mostly names that come again and again; their hashes are kept."""

Encoder = Callable[[object], bytes]


def _integer(bits: int, signed: bool) -> Encoder:
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)

    def encode(value: object) -> bytes:
        if not isinstance(value, int) or isinstance(value, bool):
            raise FormatError(f"{value!r:.60} is not an integer")
        if not low <= value < high:
            raise FormatError(f"a number does not fit {'' if signed else 'u'}int{bits}")
        return value.to_bytes(32, "big", signed=signed)

    return encode


def _bytes32(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise FormatError("a bytes32 field needs exactly 32 bytes")
    return value


def _address(value: object) -> bytes:
    if not isinstance(value, str) or not is_address(value):
        raise FormatError(f"{value!r:.60} is not an address of 0x and 40 lower-case hexadecimal digits")
    return bytes(12) + bytes.fromhex(value[2:])


def _bool(value: object) -> bytes:
    if not isinstance(value, bool):
        raise FormatError(f"{value!r:.60} is not a truth value")
    return bytes(31) + bytes((value,))


def _string(value: object) -> bytes:
    if not isinstance(value, str):
        raise FormatError("a string field needs text")
    try:
        return _short_string(value) if len(value) <= _SHORT else keccak(value.encode())
    except UnicodeEncodeError as error:
        raise FormatError("a string field holds a lone surrogate, which has no UTF-8 form") from error


@functools.lru_cache(maxsize=1024)
def _short_string(value: str) -> bytes:
    return keccak(value.encode())


def _byte_string(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise FormatError("a bytes field needs bytes")
    return keccak(value)


def _encoder(type_name: str) -> Encoder:
    named: dict[str, Encoder] = {"bytes32": _bytes32, "address": _address, "bool": _bool, "string": _string, "bytes": _byte_string}
    if type_name in named:
        return named[type_name]
    match = _INTEGER.fullmatch(type_name)
    if match is None or int(match[2]) % 8 or not 8 <= int(match[2]) <= 256:
        raise FormatError(f"{type_name!r} is not a supported EIP-712 type; use uintN, intN, bytes32, address, bool, string or bytes")
    return _integer(int(match[2]), signed=not match[1])


class Domain(msgspec.Struct, frozen=True):
    """Where a signature is valid: one chain, one contract, one protocol name and version."""

    chain_id: int
    contract: Address
    name: str = "hansa"
    version: str = "1"

    @property
    def separator(self) -> bytes:
        """The 32-byte EIP-712 domain separator, computed once per domain."""
        return _separator(self)


class StructType:
    """An EIP-712 struct declared by its type string, as in `Vote(uint256 job,bool passed)`; FormatError for unsupported types."""

    def __init__(self, declaration: str) -> None:
        outer = _SIGNATURE.fullmatch(declaration)
        fields = [_FIELD.fullmatch(part) for part in outer[2].split(",")] if outer else []
        if outer is None or None in fields:
            raise FormatError(f"{declaration!r} is not an EIP-712 type string")
        self.declaration = declaration
        self.name = outer[1]
        self.fields = tuple((field[2], field[1]) for field in fields if field)
        self._hash = keccak(declaration.encode())
        self._encoders = tuple(_encoder(type_name) for _, type_name in self.fields)

    def struct_hash(self, values: Sequence[object]) -> bytes:
        """keccak of the type hash and the encoded values, in declared order; FormatError when one does not fit its type."""
        if len(values) != len(self._encoders):
            raise FormatError(f"{self.name} has {len(self._encoders)} fields, {len(values)} values were given")
        return keccak(self._hash + b"".join([encode(value) for encode, value in zip(self._encoders, values, strict=True)]))

    def digest(self, domain: Domain, values: Sequence[object]) -> Digest:
        """The 32 bytes that are signed."""
        return Digest(keccak(b"\x19\x01" + domain.separator + self.struct_hash(values)))


_DOMAIN = StructType("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


@functools.lru_cache(maxsize=256)
def _separator(domain: Domain) -> bytes:
    return _DOMAIN.struct_hash((domain.name, domain.version, domain.chain_id, domain.contract))

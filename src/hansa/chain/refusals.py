"""What a contract meant when it refused: custom errors, `require` messages and panics turned into one sentence."""

from __future__ import annotations

from functools import cache

from hansa.chain import abi, artifacts
from hansa.core.encoding import keccak
from hansa.core.errors import FormatError, Reverted

_PANICS = {
    0x01: "an assertion failed",
    0x11: "an amount overflowed",
    0x12: "a division by zero",
    0x21: "a value is outside its enumeration",
    0x32: "an index is out of bounds",
}


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Selector to name, parameter names, parameter types, over all contracts of the package."""
    return {
        keccak(entry.signature.encode())[:4]: (
            entry.name,
            tuple([parameter.name for parameter in entry.inputs]),
            tuple([parameter.canonical for parameter in entry.inputs]),
        )
        for name in artifacts.names()
        for entry in artifacts.load(name).of_kind("error")
    }


def reverted(data: bytes, label: str = "") -> Reverted:
    """The error for a contract's return data; `label` names the call for people."""
    what = f"the contract refused {label or 'the call'}"
    selector, body = data[:4], data[4:]
    try:
        if selector == keccak(b"Error(string)")[:4]:
            (text,) = abi.decode(("string",), body)
            return Reverted(f"{what}: {text}", "Error", (text,))
        if selector == keccak(b"Panic(uint256)")[:4]:
            (code,) = abi.decode(("uint256",), body)
            reason = _PANICS.get(code, f"panic {code}") if isinstance(code, int) else "panic"
            return Reverted(f"{what}: {reason}", "Panic", (code,))
        if selector in _errors():
            name, parameters, types = _errors()[selector]
            values = abi.decode(types, body)
            shown = ", ".join([f"{key} = {_shown(value)}" for key, value in zip(parameters, values, strict=True)])
            return Reverted(f"{what}: {name}({shown})", name, values)
    except FormatError:
        pass
    return Reverted(f"{what} without a reason that can be read" + (f" (0x{data[:36].hex()})" if data else ""))


def _shown(value: object) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)

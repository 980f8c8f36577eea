"""Writes the typed bindings from the contracts' interfaces: `python -m hansa.chain.generate`."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from hansa.chain import artifacts
from hansa.chain.artifacts import Artifact, Entry, Parameter, snake

FOLDER = Path(__file__).parent / "bindings"
_NOTE = "Made from the contract's interface by `python -m hansa.chain.generate`; do not edit."
_WIDTH = 140


def _identifier(name: str) -> str:
    """Like `snake`, with an underscore behind what Python keeps for itself."""
    return snake(name) + "_" if keyword.iskeyword(snake(name)) else snake(name)


def _struct_name(parameter: Parameter) -> str:
    return parameter.internal_type.removeprefix("struct ").split("[")[0].split(".")[-1]


def _annotation(parameter: Parameter, home: str) -> str:
    base, _, arrays = parameter.type.partition("[")
    if base == "tuple":
        text = home + _struct_name(parameter)
    elif base.startswith(("uint", "int")):
        text = "int"
    else:
        text = {"address": "Address", "bool": "bool", "string": "str"}.get(base, "bytes")
    for _ in range(arrays.count("]")):
        text = f"tuple[{text}, ...]"
    return text


def _named(parameters: Sequence[Parameter], home: str = "") -> list[tuple[str, str]]:
    return [(_identifier(parameter.name) or f"arg{index}", _annotation(parameter, home)) for index, parameter in enumerate(parameters)]


def _structs(parameters: Sequence[Parameter]) -> Iterator[Parameter]:
    for parameter in parameters:
        yield from _structs(parameter.components)
        if parameter.components:
            yield parameter


def structs_module(contracts: Sequence[Artifact]) -> str:
    """All structs of all interfaces, inner ones first; two different structs of one name are an error of the contracts."""
    found: dict[str, list[tuple[str, str]]] = {}
    for contract in contracts:
        for entry in contract.abi:
            for parameter in _structs((*entry.inputs, *entry.outputs)):
                fields = _named(parameter.components)
                if found.setdefault(_struct_name(parameter), fields) != fields:
                    raise SystemExit(f"two structs are called {_struct_name(parameter)}; rename one in the contracts")
    body = "".join(
        f"\n\nclass {name}(msgspec.Struct, frozen=True, array_like=True):\n" + "".join([f"    {field}: {kind}\n" for field, kind in fields])
        for name, fields in found.items()
    )
    address = "\nfrom hansa.core.types import Address\n" if "Address" in body else ""
    return f'"""The structs that contracts take and return. {_NOTE}"""\n\nimport msgspec\n{address}{body}'


def _method_names(functions: Sequence[Entry]) -> Iterator[tuple[Entry, str]]:
    """Overloads keep the name for the shortest form; longer ones add the name of their last parameter; constants may have to shout."""
    taken: set[str] = set()
    for entry in sorted(functions, key=lambda entry: (entry.name, len(entry.inputs), entry.signature)):
        name = _identifier(entry.name)
        if name in taken:
            name = f"{name}_with_{snake(entry.inputs[-1].name) or len(entry.inputs)}" if entry.inputs else entry.name.strip("_")
        taken.add(name)
        yield entry, name


def _wrapped(head: str, parts: Sequence[str], tail: str, indent: str = "") -> str:
    """`head(parts)tail` on one line if it fits, else the parts on a line or on lines of their own, as the formatter would."""
    line = f"{indent}{head}({', '.join(parts)}){tail}\n"
    if len(line) <= _WIDTH + 1:
        return line
    inner = f"{indent}    {', '.join(parts)}\n"
    if len(inner) > _WIDTH + 1:
        inner = "".join([f"{indent}    {part},\n" for part in parts])
    return f"{indent}{head}(\n{inner}{indent}){tail}\n"


def _quoted(text: str) -> str:
    return f'"{text}"'


def _method(entry: Entry, name: str, constant: str) -> str:
    arguments = _named(entry.inputs, "structs.")
    head = ["self", *[f"{argument}: {kind}" for argument, kind in arguments]]
    passed = ["self.address", *[argument for argument, _ in arguments]]
    if entry.state_mutability not in ("view", "pure"):
        return _wrapped(f"def {name}", head, " -> Call:", "    ") + _wrapped(f"return {constant}.call", passed, "", "        ")
    kinds = [_annotation(parameter, "structs.") for parameter in entry.outputs]
    result, shape = (kinds[0], "one") if len(kinds) == 1 else (f"tuple[{', '.join(kinds) or '()'}]", "several")
    returned = _wrapped(f"return {constant}.view", [f"{shape}({result})", *passed], "", "        ")
    return _wrapped(f"def {name}", head, f" -> View[{result}]:", "    ") + returned


def contract_module(contract: Artifact) -> str:
    """One contract's class: transactions give a `Call`, views a `View`."""
    constants, methods = "", []
    for entry, name in _method_names(contract.of_kind("function")):
        returns = [_quoted(artifacts.listing(entry.outputs))] if entry.outputs else []
        constants += _wrapped(f"_{name.upper()} = Function", [_quoted(entry.signature), *returns], "")
        methods.append(_method(entry, name, f"_{name.upper()}"))
    words = set(re.findall(r"(?<!\.)\b\w+", constants + "".join(methods)))
    imports = f"from hansa.chain.abi import {', '.join([name for name in ('Function', 'View', 'one', 'several') if name in words])}\n"
    imports += "from hansa.chain.bindings import structs\n" if "structs" in words else ""
    imports += "from hansa.core.ports import Call\n" if "Call" in words else ""
    imports += "from hansa.core.types import Address\n"
    return (
        f'"""`{contract.contract_name}`: typed calls and views. {_NOTE}"""\n\n{imports}\n{constants}\n\nclass {contract.contract_name}:\n'
        f"    def __init__(self, address: Address) -> None:\n        self.address = address\n\n" + "\n".join(methods)
    )


def generate() -> dict[str, str]:
    """File name to text, for every contract that can be deployed or is called through its interface."""
    contracts = [contract for contract in map(artifacts.load, artifacts.names()) if contract.of_kind("function")]
    modules = {f"{snake(contract.contract_name)}.py": contract_module(contract) for contract in contracts}
    modules["structs.py"] = structs_module(contracts)
    modules["__init__.py"] = f'"""One class per contract. {_NOTE}"""\n'
    return modules


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    modules = generate()
    for path in FOLDER.glob("*.py"):
        if path.name not in modules:
            path.unlink()
    for name, text in modules.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

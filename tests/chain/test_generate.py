"""The bindings in the package are the ones that the contracts' interfaces give."""

from __future__ import annotations

import pytest

from hansa.chain import artifacts, generate
from hansa.chain.artifacts import Artifact, Entry, Parameter
from hansa.core.errors import ConfigError


def test_the_committed_bindings_equal_a_fresh_generation() -> None:
    fresh = generate.generate()
    committed = {path.name: path.read_text() for path in generate.FOLDER.glob("*.py")}
    assert committed == fresh, "run python -m hansa.chain.generate"


def test_every_deployable_contract_has_a_binding_of_every_function() -> None:
    for name in artifacts.names():
        contract = artifacts.load(name)
        if contract.deployed_bytecode != "0x" and contract.of_kind("function"):
            text = (generate.FOLDER / f"{artifacts.snake(name)}.py").read_text()
            for entry in contract.of_kind("function"):
                assert f'"{entry.signature}"' in text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("finaliseByTime", "finalise_by_time"),
        ("THAW_DELAY", "thaw_delay"),
        ("eip712Domain", "eip712_domain"),
        ("token_", "token"),
        ("tokenURI", "token_uri"),
    ],
)
def test_names_in_snake_case(name: str, expected: str) -> None:
    assert artifacts.snake(name) == expected


def _contract(*entries: Entry) -> Artifact:
    return Artifact("Thing", entries, "0x", "0x")


def test_overloads_and_keywords_get_names_of_their_own() -> None:
    address, data = Parameter("address", "from"), Parameter("bytes", "data")
    text = generate.contract_module(
        _contract(Entry("function", "send", (address,)), Entry("function", "send", (address, data)), Entry("function", "import", ()))
    )
    assert "def send(self, from_: Address) -> Call:" in text
    assert "def send_with_data(self, from_: Address, data: bytes) -> Call:" in text
    assert "def import_(self) -> Call:" in text


def test_two_structs_of_one_name_are_refused() -> None:
    def uses(*members: Parameter) -> Artifact:
        return _contract(Entry("function", "f", (Parameter("tuple", "x", members, internal_type="struct A.Point"),)))

    with pytest.raises(SystemExit, match="two structs are called Point"):
        generate.structs_module([uses(Parameter("uint256", "x")), uses(Parameter("uint256", "y"))])


def test_an_artefact_that_is_not_there_is_said() -> None:
    for name in ("Nothing", "../secrets"):
        with pytest.raises(ConfigError, match="no artefact"):
            artifacts.load(name)

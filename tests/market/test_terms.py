"""The bounds of a job's terms: what is accepted here is what the contract accepts, term by term, at the bounds and beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.chain.bindings import structs
from hansa.core.errors import ConfigError, FormatError, Reverted
from hansa.core.types import ZERO_DIGEST
from hansa.market import terms as bounds
from hansa.market.terms import check_terms
from tests.market.world import CLIENT, NOW, World, terms, world


def contract_accepts(town: World, asked: structs.Terms, run: asyncio.Runner) -> bool:
    """Whether `open` over freshly funded kernel jobs would go through; nothing is kept."""
    rounds = town.contracts.rounds
    try:
        call = rounds.open(town.first, asked)
    except FormatError:
        return False
    try:
        run.run(town.ledger.call(call, sender=CLIENT.address))
    except Reverted:
        return False
    return True


def we_accept(asked: structs.Terms) -> bool:
    try:
        check_terms(asked, NOW)
    except ConfigError:
        return False
    return True


NUMBERS = {
    "rounds": (1, 64, 65, 128, 1024, 1025), "milestones": (1, 2, 16, 17), "quorum": (1, 4, 5), "verifiers": (1, 32, 33),
    "coordinator_bps": (0, 3_000, 3_001), "verifier_bps": (0, 3_000, 3_001), "enrol_by": (NOW - 1, NOW, NOW + 1, NOW + bounds.MAX_DURATION),
    "patience": (0, 1, bounds.MAX_PATIENCE, bounds.MAX_PATIENCE + 1), "window": (0, 1, bounds.MAX_WINDOW, bounds.MAX_WINDOW + 1),
    "deadline": (NOW - 1, NOW, NOW + 129, NOW + 130, NOW + 131, NOW + bounds.MAX_DURATION, NOW + bounds.MAX_DURATION + 1),
    "trainer_stake": (0, 1, bounds.MAX_AMOUNT, bounds.MAX_AMOUNT + 1), "coordinator_stake": (0, 1, bounds.MAX_AMOUNT),
    "verifier_stake": (0, 1, bounds.MAX_AMOUNT + 1), "challenge_bond": (0, 1, bounds.MAX_AMOUNT), "max_trainers": (0, 1, 1024, 1025),
}  # fmt: skip


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


@pytest.fixture(scope="module")
def town(runner: asyncio.Runner) -> World:
    return runner.run(world(funded=17))


@pytest.mark.parametrize(("term", "value"), [(term, value) for term, values in NUMBERS.items() for value in values])
def test_each_term_at_its_bounds(town: World, runner: asyncio.Runner, term: str, value: int) -> None:
    asked = replace(terms(), **{term: value})
    assert we_accept(asked) == contract_accepts(town, asked, runner)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(NUMBERS)), st.integers(0, 10), max_size=3))
def test_any_terms_are_judged_as_the_contract_judges(town: World, runner: asyncio.Runner, changes: dict[str, int]) -> None:
    picked = {term: NUMBERS[term][place % len(NUMBERS[term])] for term, place in changes.items()}
    asked = replace(terms(), **picked)
    assert we_accept(asked) == contract_accepts(town, asked, runner)


@pytest.mark.parametrize("field", ["spec", "genesis"])
def test_terms_without_a_digest_are_refused(town: World, runner: asyncio.Runner, field: str) -> None:
    asked = replace(terms(), **{field: ZERO_DIGEST})
    assert not contract_accepts(town, asked, runner)
    with pytest.raises(ConfigError, match="no specification or no first model"):
        check_terms(asked, NOW)


def test_the_sentence_names_the_term_and_its_bounds() -> None:
    with pytest.raises(ConfigError, match=r"seats of verifiers cannot be 33; the contracts allow 1 to 32"):
        check_terms(replace(terms(), verifiers=33), NOW)

"""Attacks against their formulas, the reference vectors and the limits that they claim to keep."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hansa.core.encoding import decode, encode
from hansa.core.errors import DataError, FormatError
from hansa.learning.examples import Examples
from hansa.simulation.attacks import (
    Alie,
    AnyAttack,
    Backdoor,
    Copy,
    FreeRider,
    InnerProduct,
    LabelFlip,
    Mimic,
    MinMax,
    MinSum,
    NotANumber,
    SignFlip,
    Sybil,
    Unbounded,
)
from hansa.simulation.attacks.attack import Sight

VECTORS = Path(os.environ.get("HANSA_SHARED", "../shared")) / "vectors" / "aggregators_n15_d64_f3.npz"
RANDOM = np.random.Generator(np.random.PCG64(7))
HONEST = RANDOM.standard_normal((8, 6)) + np.arange(6)
OWN = RANDOM.standard_normal((2, 6))
SIGHT = Sight(HONEST, OWN, np.linspace(-1, 1, 6), seed=3)
ALL: list[AnyAttack] = [
    SignFlip(), Unbounded(), NotANumber(), Alie(), Alie(1.5), InnerProduct(), MinMax(), MinSum(), Mimic(), Copy(), FreeRider(), Sybil(),
    LabelFlip(), Backdoor(),
]  # fmt: skip


@pytest.mark.parametrize("attack", ALL, ids=lambda attack: attack.__struct_config__.tag)
def test_attacks_are_functions_that_change_nothing_and_travel_as_json(attack: AnyAttack) -> None:
    before = [each.copy() for each in (HONEST, OWN, SIGHT.previous)]
    first, again = attack.sent(SIGHT), attack.sent(SIGHT)
    assert first.shape == OWN.shape and np.array_equal(first, again, equal_nan=True)
    assert all(np.array_equal(a, b) for a, b in zip(before, (HONEST, OWN, SIGHT.previous), strict=True))
    assert decode(encode(attack), AnyAttack) == attack  # type: ignore[arg-type]


def test_the_reference_vectors_hold() -> None:
    if not VECTORS.exists():
        pytest.skip("reference vectors are not present (HANSA_SHARED/vectors)")
    with np.load(VECTORS) as file:
        honest = file["X"][:12]
        sight = Sight(honest, honest[:3], np.zeros(64))
        assert np.abs(SignFlip().sent(sight)[0] - file["atk_signflip"]).max() < 1e-12
        assert np.abs(InnerProduct(2.0).sent(sight)[0] - file["atk_ipm_tau2"]).max() < 1e-12
        # The reference moves with the spread, ours against it; the rows inside X are ours.
        assert np.abs(2 * honest.mean(axis=0) - Alie(1.5).sent(sight)[0] - file["atk_alie_tau1.5"]).max() < 1e-12
        assert np.abs(Alie(1.5).sent(sight)[0] - file["X"][12]).max() < 1e-12


def test_alie_hides_as_far_as_the_normal_quantile() -> None:
    # n = 50, f = 24, as in the paper: s = 26 - 24 supporters, z = quantile of 24 / 26.
    sight = Sight(RANDOM.standard_normal((26, 3)), np.zeros((24, 3)), np.zeros(3))
    assert Alie().z(sight) == pytest.approx(1.4260769, abs=1e-6)
    assert Alie().z(Sight(RANDOM.standard_normal((9, 3)), np.zeros((1, 3)), np.zeros(3))) == 0.0


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 1000))
def test_min_max_and_min_sum_go_exactly_to_their_limit(honest: int, attackers: int, seed: int) -> None:
    random = np.random.Generator(np.random.PCG64(seed))
    rows = random.standard_normal((honest, 5)) * random.uniform(0.1, 10)
    sight = Sight(rows, rows[:1].repeat(attackers, axis=0), np.zeros(5))
    square = np.square(rows[:, None] - rows).sum(axis=2)
    farthest = np.square(rows - MinMax().sent(sight)[0]).sum(axis=1).max()
    assert farthest == pytest.approx(square.max(), rel=1e-6)
    total = np.square(rows - MinSum().sent(sight)[0]).sum()
    assert total == pytest.approx(square.sum(axis=1).max(), rel=1e-6)


def test_one_honest_site_leaves_nowhere_to_hide() -> None:
    sight = Sight(HONEST[:1], OWN, np.zeros(6))
    for attack in (MinMax(), MinSum(), Alie(1.5), Mimic()):
        assert np.array_equal(attack.sent(sight), HONEST[:1].repeat(2, axis=0))


def test_idle_attackers_send_what_is_not_theirs() -> None:
    assert np.array_equal(Copy().sent(SIGHT), HONEST[:2])
    assert any(np.array_equal(Mimic().sent(SIGHT)[0], row) for row in HONEST)
    assert np.abs(FreeRider(0.0).sent(SIGHT) - SIGHT.previous).max() == 0
    two = Sybil().sent(SIGHT)
    assert not np.array_equal(two[0], two[1]) and np.abs(two + OWN[0]).max() < 0.02 * np.abs(OWN[0]).max()


def test_crude_attacks_do_not_hide() -> None:
    assert np.array_equal(Unbounded(100.0).sent(SIGHT), -100 * OWN)
    assert np.isnan(NotANumber().sent(SIGHT)).all()
    assert np.allclose(SignFlip(3.0).sent(SIGHT)[0], -3 * HONEST.mean(axis=0))


ROWS = Examples(np.arange(40, dtype=np.float32).reshape(10, 4), np.arange(10))


def test_flipped_labels_and_a_trigger() -> None:
    assert LabelFlip(10).rows(ROWS, 1).labels.tolist() == list(range(9, -1, -1))
    door = Backdoor(target=7, place=1, width=2, value=9.0, share=0.3)
    poisoned = door.rows(ROWS, 5)
    changed = (poisoned.features != ROWS.features).any(axis=1)
    assert changed.sum() == 3 and set(poisoned.labels[changed]) == {7} and (poisoned.features[changed, 1:3] == 9).all()
    assert np.array_equal(poisoned.labels[~changed], ROWS.labels[~changed]) and (ROWS.features[:, 1] != 9).any()
    assert (door.triggered(ROWS).labels == 7).all()


def test_a_replaced_model_is_what_the_mean_becomes() -> None:
    alone = Sight(np.zeros((9, 6)), OWN[:1], np.zeros(6))
    assert np.allclose(np.vstack([alone.honest, Backdoor().sent(alone)]).mean(axis=0), OWN[0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: SignFlip(0.0), lambda: Unbounded(-1.0), lambda: InnerProduct(float("inf")), lambda: Alie(-1.0), lambda: FreeRider(-0.1),
        lambda: LabelFlip(1), lambda: Backdoor(share=0.0), lambda: Backdoor(width=0), lambda: Sybil(float("nan")),
    ],
)  # fmt: skip
def test_senseless_attacks_are_refused(make: object) -> None:
    with pytest.raises(FormatError):
        make()  # type: ignore[operator]


def test_what_attackers_see_must_fit_together() -> None:
    for honest, own in ((HONEST, OWN[:, :5]), (HONEST[:0], OWN), (HONEST, OWN[:0])):
        with pytest.raises(DataError):
            Sight(honest, own, np.zeros(6))
    with pytest.raises(DataError, match="feature 5 of 4"):
        Backdoor(place=2, width=3).rows(ROWS, 0)
    with pytest.raises(DataError, match="classes"):
        LabelFlip().rows(Examples(ROWS.features, ROWS.labels.astype(np.float32)), 0)

import numpy as np
import pytest

from hansa.core.errors import ProtocolError
from hansa.core.types import FaultKind
from hansa.learning.topology.butterfly import GroupMember
from hansa.learning.topology.declaration import Grid
from hansa.learning.topology.fixed import LARGEST
from hansa.learning.topology.grid import Averaging
from hansa.learning.topology.group import Group
from hansa.learning.topology.partial import Partial
from hansa.learning.topology.placement import Placement
from tests.learning.topology.world import MOST, Liar, exact, partials, told


def averaging(
    side: int, dimensions: int, count: int | None = None, *, size: int = 12, seed: int = 5
) -> tuple[Averaging, dict[str, Partial]]:
    grid = Grid(side, dimensions)
    inputs = partials(count or grid.most, size)
    return Averaging(Placement(grid).admit(inputs, seed, 0), inputs, seed, 0, MOST), inputs


def mass(state: Averaging) -> tuple[list[int], int]:
    return exact(state.holdings.values())


def error(state: Averaging, inputs: dict[str, Partial]) -> float:
    """Largest distance of a node's mean from the true one, root mean square over the coordinates."""
    values, weight = exact(inputs.values())
    truth = np.array(values) / weight
    return float(max(np.sqrt(np.mean((held.values / held.weight - truth) ** 2)) for held in state.holdings.values()))


@pytest.mark.parametrize(("side", "dimensions"), [(2, 1), (2, 4), (4, 2), (3, 3), (8, 2)])
def test_a_full_grid_holds_the_plain_sum_everywhere_after_one_round_an_axis(side: int, dimensions: int) -> None:
    state, inputs = averaging(side, dimensions)
    for _ in range(dimensions):
        state, faults = state.step()
        assert faults == ()
    assert {told(held) == exact(inputs.values()) for held in state.holdings.values()} == {True}
    assert len({held.digest() for held in state.holdings.values()}) == 1


def test_one_round_too_few_is_not_enough() -> None:
    state, inputs = averaging(3, 3)
    state, _ = state.step()
    state, _ = state.step()
    assert error(state, inputs) > 1


@pytest.mark.parametrize("count", [9, 12, 15])
def test_with_holes_mass_is_kept_exactly_and_the_error_decays(count: int) -> None:
    state, inputs = averaging(4, 2, count)
    errors, (values, weight) = [error(state, inputs)], exact(inputs.values())
    for _ in range(6):
        state, _ = state.step()
        assert mass(state) == ([value * state.factor for value in values], weight * state.factor)
        errors.append(error(state, inputs))
    assert errors[4] < 0.1 * errors[0] and errors[6] < 0.02 * errors[0]


def test_who_stays_away_for_a_round_keeps_its_mass_and_the_error_decays_all_the_same() -> None:
    random = np.random.Generator(np.random.PCG64(2))
    state, inputs = averaging(4, 2)
    errors, (values, weight) = [error(state, inputs)], exact(inputs.values())
    for _ in range(8):
        state, faults = state.step(away={name for name in inputs if random.random() < 0.15})
        assert mass(state) == ([value * state.factor for value in values], weight * state.factor)
        assert {fault.kind for fault in faults} <= {FaultKind.LATE}
        errors.append(error(state, inputs))
    assert errors[4] < 0.2 * errors[0] and errors[8] < 0.03 * errors[0]


def test_a_newcomer_counts_as_often_as_everybody_else() -> None:
    state, inputs = averaging(4, 2, 12)
    state, _ = state.step()
    newcomer = {"new": partials(1, 12, seed=9)["n00"]}
    state = state.join(newcomer)
    values, weight = exact([*inputs.values(), *newcomer.values()])
    for _ in range(3):
        state, _ = state.step()
        assert mass(state) == ([value * state.factor for value in values], weight * state.factor)


def test_a_leaver_takes_what_it_holds_and_nothing_else() -> None:
    state, _ = averaging(4, 2)
    state, _ = state.step()
    before, gone = mass(state), state.holdings["n04"]
    state = state.leave(["n04"])
    assert mass(state) == ([a - int(b) for a, b in zip(before[0], gone.values, strict=True)], before[1] - gone.weight)
    assert "n04" not in state.placement.cells
    with pytest.raises(ProtocolError, match="at once"):
        Averaging(state.placement.without(["n05"]), state.holdings, 5, 1)


def test_a_lying_reducer_is_named_and_changes_nothing() -> None:
    def make(name: str, group: Group, own: Partial) -> GroupMember:
        return (Liar if name == "n07" else GroupMember)(name, group, own)

    state, inputs = averaging(4, 2)
    for _ in range(2):
        state, faults = state.step(make=make)
        assert {(fault.account, fault.kind) for fault in faults if fault.account == "n07"} == {("n07", FaultKind.WRONG_AGGREGATE)}
    assert {told(held) == exact(inputs.values()) for held in state.holdings.values()} == {True}


def test_sums_that_would_leave_the_range_are_refused_before_they_do() -> None:
    grid = Grid(3, 1)
    inputs = {name: Partial(np.full(3, 1 << 40), 1, 1 << 40) for name in ("a", "b", "c")}
    state = Averaging(Placement(grid).admit(inputs, 1, 0), inputs, 1, 0)
    with pytest.raises(ProtocolError, match="divide"):
        for _ in range(40):
            state, _ = state.step(away={"c"} if state.round % 2 else {"a"})
    assert state.round > 5


def test_the_largest_grid_with_holes_divides_in_time_and_keeps_the_mean_to_the_unit() -> None:
    grid, random = Grid(16, 2), np.random.Generator(np.random.PCG64(3))
    inputs = {f"n{place:03d}": Partial(random.integers(-LARGEST, LARGEST, 2), 1, LARGEST) for place in range(171)}
    state, divisions = Averaging(Placement(grid).admit(inputs, 1, 0), inputs, 1, 0), 0
    truth = sum(own.values.astype(np.float64) for own in inputs.values()) / len(inputs)
    for _ in range(8):
        if not state.fits:
            state, divisions = state.divided(), divisions + 1
        state, _ = state.step()
    assert divisions >= 3 and max(np.abs(held.mean() - truth).max() for held in state.holdings.values()) < 1e-3 * LARGEST
    mean = sum(held.mean().astype(np.float64) for held in state.holdings.values()) / len(inputs)
    assert np.abs(mean - truth).max() < 1 + divisions


def test_unequal_weights_cannot_be_divided_on_their_way() -> None:
    state, _ = averaging(4, 1)
    with pytest.raises(ProtocolError, match="different weights"):
        state.divided()

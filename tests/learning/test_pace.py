import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hansa.core.errors import DataError, FormatError
from hansa.learning.pace import Pace, least, paced
from hansa.learning.strategy import LocalTraining

STEPS = LocalTraining(rate=0.1, batch=10, steps=20)
EPOCHS = LocalTraining(rate=0.1, batch=10, epochs=3, momentum=0.9)
PACE = Pace(seconds=2.0, steps=4, batch=2)


def test_a_fast_device_trains_what_the_job_says() -> None:
    assert paced(STEPS, PACE, 500, 1e6) == STEPS
    assert paced(EPOCHS, PACE, 55, 82.5) == EPOCHS
    assert paced(STEPS, PACE, 500, 100.0) == STEPS


def test_a_slower_one_takes_fewer_steps() -> None:
    # 2 s at 60 rows/s are 120 rows, 12 batches of 10.
    assert paced(STEPS, PACE, 500, 60.0) == replace(STEPS, steps=12)
    assert paced(EPOCHS, PACE, 500, 60.0) == replace(EPOCHS, steps=12, epochs=0)


def test_one_that_is_slower_still_takes_smaller_batches_at_a_smaller_rate() -> None:
    # 2 s at 12 rows/s are 24 rows: the least 4 steps, of 6 rows.
    assert paced(STEPS, PACE, 500, 12.0) == replace(STEPS, steps=4, batch=6, rate=0.1 * 6 / 10)


def test_one_that_cannot_do_the_least_is_told() -> None:
    assert paced(STEPS, PACE, 500, 4.0).batch == 2
    with pytest.raises(DataError, match="too slow"):
        paced(STEPS, PACE, 500, 3.9)


def test_a_small_site_takes_its_rows_as_one_batch() -> None:
    assert paced(STEPS, PACE, 5, 1e6) == replace(STEPS, batch=5, rate=0.05)
    assert paced(EPOCHS, PACE, 5, 1e6) == replace(EPOCHS, batch=5, rate=0.05)


@pytest.mark.parametrize(("rows", "speed"), [(0, 1.0), (5, 0.0), (5, float("nan")), (5, float("inf"))])
def test_a_pace_needs_rows_and_a_speed(rows: int, speed: float) -> None:
    with pytest.raises(DataError):
        paced(STEPS, PACE, rows, speed)


@pytest.mark.parametrize("change", [{"seconds": 0.0}, {"seconds": float("nan")}, {"steps": 0}, {"batch": 0}, {"batch": 1 << 21}])
def test_bounds_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(FormatError):
        replace(PACE, **change)


@given(st.sampled_from([STEPS, EPOCHS]), st.integers(1, 1000), st.floats(0.01, 1e5))
def test_the_plan_fits_the_device_and_the_bounds(local: LocalTraining, rows: int, speed: float) -> None:
    try:
        plan = paced(local, PACE, rows, speed)
    except DataError:
        assert PACE.seconds * speed < PACE.steps * PACE.batch
        return
    seen = plan.steps * plan.batch if plan.steps else plan.epochs * rows
    assert seen <= PACE.seconds * speed
    assert plan.batch <= min(local.batch, rows) and plan.rate == local.rate * plan.batch / local.batch
    assert plan.steps <= (local.steps or local.epochs * -(-rows // min(local.batch, rows)))


def test_a_device_is_first_measured_by_the_least_training() -> None:
    assert least(STEPS, PACE, 500) == replace(STEPS, steps=4, batch=2, rate=0.1 * 2 / 10)
    assert least(EPOCHS, PACE, 5) == replace(EPOCHS, steps=3, epochs=0, batch=2, rate=0.1 * 2 / 10)
    assert least(STEPS, replace(PACE, batch=64), 500) == replace(STEPS, steps=4)

"""Laws of every compression: canonical bytes, exact decoding, error feedback that loses nothing, decoders that trust nobody."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hansa.core.encoding import canonical
from hansa.core.errors import FormatError, ProtocolError
from hansa.learning.compression.choice import AnyCompression
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.power_sgd import PowerSgd
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.randomk import RandomK
from hansa.learning.compression.sparse_loco import SparseLoco
from hansa.learning.compression.topk import TopK
from hansa.model.aggregate import Aggregate
from hansa.model.layout import Layout, Tensor
from hansa.model.stages import State
from hansa.model.state import Vector
from hansa.model.update import Integers, Update, uniform_scales

LAYOUT = Layout((Tensor("a", (24, 18)), Tensor("b", (7,)), Tensor("c", (4, 5, 3)), Tensor("d", ())))
GRIDS = [
    Grid(LAYOUT, (2.0**-12, 2.0**-10, 2.0**-11, 2.0**-9)),
    Grid(LAYOUT, uniform_scales(LAYOUT, 8.0, 32), 32),
]
SEED = 1 << 52

COMPRESSIONS: list[AnyCompression] = [
    TopK(keep=5, chunk=100),
    TopK(keep=2, chunk=7, decay=0.0),
    TopK(keep=500, chunk=500, decay=0.5),
    RandomK(keep=5, chunk=100),
    RandomK(decay=0.9),
    *(Quantised(bits, rotated, decay) for bits in (8, 4, 2, 1) for rotated in (False, True) for decay in (0.0, 1.0)),
    PowerSgd(rank=1),
    PowerSgd(rank=3, decay=0.0),
    SparseLoco(keep=6, chunk=30),
    SparseLoco(),
]

every_compression = pytest.mark.parametrize("compression", COMPRESSIONS, ids=str)
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=["16 bits", "32 bits"])


def update(seed: int, size: int = LAYOUT.size) -> Vector:
    """Heavy-tailed, as updates are."""
    return (np.random.Generator(np.random.PCG64(seed)).standard_t(4, size) * 0.1).astype(np.float32)


def payload_of(compression: AnyCompression, grid: Grid, value: Vector | None = None) -> bytes:
    return compression.encode(grid, update(1) if value is None else value, compression.initial(grid.layout), SEED)[0]


def check_on_grid(compression: AnyCompression, grid: Grid, values: Integers) -> None:
    domain = compression.grid(grid)
    assert values.dtype == (np.int16 if grid.bits == 16 else np.int32) and values.shape == (domain.layout.size,)
    assert int(np.abs(values.astype(np.int64)).max()) <= domain.largest
    Update(domain.layout, domain.scales, values, 1)


def accepted(compression: AnyCompression, grid: Grid, data: bytes) -> bool:
    """Whether a payload decodes; what decodes is on the grid, what does not is refused with the tree's error."""
    try:
        values = compression.decode(grid, data, SEED)
    except FormatError:
        return False
    check_on_grid(compression, grid, values)
    return True


def same(a: State, b: State) -> bool:
    return len(a) == len(b) and all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


@every_compression
@every_grid
def test_equal_updates_and_states_give_equal_bytes(compression: AnyCompression, grid: Grid) -> None:
    state, value = compression.initial(LAYOUT), update(1)
    for round in range(3):
        first, after, measured = compression.encode(grid, value, state, round)
        again, after_again, measured_again = compression.encode(grid, value, state, round)
        assert first == again and same(after, after_again) and measured == measured_again
        assert (compression.decode(grid, first, round) == compression.decode(grid, again, round)).all()
        state = after


@every_compression
@every_grid
def test_arguments_are_not_changed(compression: AnyCompression, grid: Grid) -> None:
    value, state = update(1), compression.encode(grid, update(2), compression.initial(LAYOUT), 0)[1]
    value_before, state_before = value.copy(), tuple(vector.copy() for vector in state)
    payload, after, _ = compression.encode(grid, value, state, SEED)
    assert value.tobytes() == value_before.tobytes() and same(state, state_before)
    assert all(not np.shares_memory(vector, value) for vector in after)
    values = compression.decode(grid, payload, SEED)
    sums = values.astype(np.int64)
    compression.restore(grid, sums, SEED)
    assert (sums == values).all()


@every_compression
@every_grid
def test_what_is_decoded_is_an_update_on_the_grid(compression: AnyCompression, grid: Grid) -> None:
    payload = payload_of(compression, grid)
    check_on_grid(compression, grid, compression.decode(grid, payload, SEED))
    assert (compression.decode(grid, memoryview(payload), SEED) == compression.decode(grid, payload, SEED)).all()


@every_compression
@every_grid
def test_the_limit_is_never_exceeded(compression: AnyCompression, grid: Grid) -> None:
    compression.check(LAYOUT)
    for value in (update(1), update(2) * np.float32(1e6), np.zeros(LAYOUT.size, np.float32)):
        assert len(payload_of(compression, grid, value)) <= compression.limit(grid)


@every_compression
@every_grid
def test_the_state_keeps_its_shape(compression: AnyCompression, grid: Grid) -> None:
    before = compression.initial(LAYOUT)
    after = compression.encode(grid, update(1), before, SEED)[1]
    assert [(x.dtype, x.shape) for x in before] == [(x.dtype, x.shape) for x in after]
    assert all(x.dtype == np.float32 for x in before)


@pytest.mark.parametrize("compression", [each for each in COMPRESSIONS if each.decay], ids=str)
@every_grid
def test_error_feedback_keeps_to_the_bit_what_the_receiver_does_not_get(compression: AnyCompression, grid: Grid) -> None:
    state = compression.initial(LAYOUT)
    for round in range(3):
        value = update(round)
        due = np.float32(compression.decay) * state[0] + value
        payload, state, _ = compression.encode(grid, value, state, round)
        received = compression.restore(grid, compression.decode(grid, payload, round).astype(np.int64), round)
        assert state[0].tobytes() == (due - received).astype(np.float32).tobytes()


@pytest.mark.parametrize("compression", [each for each in COMPRESSIONS if each.decay == 1], ids=str)
@every_grid
def test_without_decay_nothing_is_lost_over_many_rounds(compression: AnyCompression, grid: Grid) -> None:
    state, meant, received = compression.initial(LAYOUT), np.zeros(LAYOUT.size), np.zeros(LAYOUT.size)
    for round in range(20):
        value = update(round)
        meant += value
        payload, state, _ = compression.encode(grid, value, state, round)
        received += compression.restore(grid, compression.decode(grid, payload, round).astype(np.int64), round)
    assert np.abs(received + state[0] - meant).max() < 1e-4


@every_compression
@every_grid
def test_nothing_comes_of_nothing(compression: AnyCompression, grid: Grid) -> None:
    assert not compression.decode(grid, payload_of(compression, grid, np.zeros(LAYOUT.size, np.float32)), SEED).any()


@every_compression
@every_grid
def test_values_beyond_the_grid_saturate_and_are_counted(compression: AnyCompression, grid: Grid) -> None:
    payload, _, measured = compression.encode(grid, update(1) * np.float32(1e5), compression.initial(LAYOUT), SEED)
    check_on_grid(compression, grid, compression.decode(grid, payload, SEED))
    assert measured["compression.saturated"] > 0 and measured["compression.bytes"] == len(payload)


@every_compression
@every_grid
def test_the_sum_of_sites_is_restored_as_the_sum_of_what_each_sent(compression: AnyCompression, grid: Grid) -> None:
    domain = compression.grid(grid)
    decoded = [compression.decode(grid, payload_of(compression, grid, update(site)), SEED) for site in range(3)]
    total = Aggregate.of(Update(domain.layout, domain.scales, values, weight) for values, weight in zip(decoded, (1, 2, 5), strict=True))
    alone = [compression.restore(grid, values.astype(np.int64), SEED) for values in decoded]
    expected = alone[0] + 2 * alone[1] + 5 * alone[2]
    assert np.allclose(compression.restore(grid, total.values, SEED), expected, rtol=1e-12, atol=1e-12)


@every_compression
@every_grid
def test_every_truncation_and_every_extension_is_refused(compression: AnyCompression, grid: Grid) -> None:
    payload = payload_of(compression, grid)
    for length in range(len(payload)):
        with pytest.raises(FormatError):
            compression.decode(grid, payload[:length], SEED)
    for more in (b"\0", b"\xff", bytes(64)):
        with pytest.raises(FormatError):
            compression.decode(grid, payload + more, SEED)


@every_compression
def test_every_corrupt_byte_is_refused_or_decodes_to_another_update(compression: AnyCompression) -> None:
    for grid in GRIDS:
        payload = bytearray(payload_of(compression, grid))
        for place in range(len(payload)):
            for mask in (0x01, 0x80, 0xFF):
                payload[place] ^= mask
                accepted(compression, grid, bytes(payload))
                payload[place] ^= mask


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_random_bytes_are_refused_or_decode_to_an_update(data: st.DataObject) -> None:
    compression, grid = data.draw(st.sampled_from(COMPRESSIONS)), data.draw(st.sampled_from(GRIDS))
    size = compression.limit(grid)
    seed, length = data.draw(st.integers(0, 1 << 32)), data.draw(st.sampled_from([size, size, size, 0, 1, size - 1, size + 1]))
    kind = data.draw(st.sampled_from([0, 0x0F, 0xFF]))
    noise = np.random.default_rng(seed).integers(0, 256, length, np.uint8) & np.uint8(kind)
    assert accepted(compression, grid, noise.tobytes()) <= (length == size)


@every_compression
def test_updates_that_are_not_finite_or_not_of_the_layout_are_refused(compression: AnyCompression) -> None:
    state = compression.initial(LAYOUT)
    for value in (
        np.full(LAYOUT.size, np.nan, np.float32),
        np.full(LAYOUT.size, np.inf, np.float32),
        update(1)[:-1],
        update(1).astype(float),
    ):
        with pytest.raises(FormatError):
            compression.encode(GRIDS[0], value, state, SEED)


@pytest.mark.parametrize("compression", [each for each in COMPRESSIONS if each.initial(LAYOUT)], ids=str)
def test_a_state_of_something_else_is_refused(compression: AnyCompression) -> None:
    for state in ((), (np.zeros(3, np.float32),), (np.zeros(LAYOUT.size),)):
        with pytest.raises(ProtocolError, match=r"start from initial\(\)"):
            compression.encode(GRIDS[0], update(1), state, SEED)


@every_compression
def test_a_spec_names_it_and_brings_it_back(compression: AnyCompression) -> None:
    assert msgspec.json.decode(canonical(compression), type=AnyCompression) == compression
    fields = msgspec.to_builtins(compression) | {"unheard": 1}
    with pytest.raises(msgspec.ValidationError, match="unheard"):
        msgspec.convert(fields, AnyCompression)

import numpy as np
import pytest

from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Digest
from hansa.learning.compression.compression import Grid
from hansa.learning.compression.feedback import Coded
from hansa.learning.compression.quantised import Quantised
from hansa.learning.compression.topk import TopK
from hansa.model.layout import Layout, Tensor
from hansa.model.stages import ErrorFeedback, Quantise, chain
from hansa.model.update import Update
from hansa.model.update_format import UpdateFormat

LAYOUT = Layout((Tensor("a", (4,)),))
COARSE = Quantise(LAYOUT, (1.0,))


def test_error_feedback_sends_later_what_rounding_took() -> None:
    stage = ErrorFeedback(COARSE, 4)
    state, sent = stage.initial(), []
    for _ in range(5):
        values, state, _ = stage.encode(np.array([0.25, -0.75, 1.0, 0.0], np.float32), state)
        sent.append(values.tolist())
    # Half to even: 0.5 stays 0, the third quarter makes 1; -0.75 is sent as -1 three times of four.
    assert [each[0] for each in sent] == [0, 0, 1, 0, 0] and [each[1] for each in sent] == [-1, 0, -1, -1, -1]
    assert [each[2] for each in sent] == [1] * 5 and state[0].tolist() == [0.25, 0.25, 0.0, 0.0]


def test_decay_scales_what_waits_before_the_new_update_is_added() -> None:
    stage = ErrorFeedback(COARSE, 4, 0.5)
    _, state, _ = stage.encode(np.array([0.4, 0, 0, 0], np.float32), stage.initial())
    values, (error,), _ = stage.encode(np.array([0.25, 0, 0, 0], np.float32), state)
    assert values.tolist() == [0, 0, 0, 0] and error[0] == np.float32(0.5) * np.float32(0.4) + np.float32(0.25)


def test_saturated_values_wait_too() -> None:
    stage = ErrorFeedback(Quantise(LAYOUT, (1.0,)), 4)
    values, (error,), measured = stage.encode(np.array([40_000, 0, 0, 0], np.float32), stage.initial())
    assert values[0] == 32767 and error[0] == 40_000 - 32767 and measured == {"quantise.saturated": 0.25}


def test_an_error_that_outgrows_float32_is_refused() -> None:
    stage = ErrorFeedback(COARSE, 4)
    _, state, _ = stage.encode(np.full(4, 3e38, np.float32), stage.initial())
    with pytest.raises(FormatError, match="not finite"):
        stage.encode(np.full(4, 3e38, np.float32), state)


@pytest.mark.parametrize("state", [(), (np.zeros(3, np.float32),), (np.zeros(4),), ("error",)])
def test_another_state_is_refused(state: tuple[object, ...]) -> None:
    with pytest.raises(ProtocolError, match=r"start from initial\(\)"):
        ErrorFeedback(COARSE, 4).encode(np.zeros(4, np.float32), state)


@pytest.mark.parametrize("decay", [-0.5, 1.5, float("nan")])
def test_impossible_decays_are_refused(decay: float) -> None:
    with pytest.raises(FormatError, match="decay"):
        ErrorFeedback(COARSE, 4, decay)


def test_the_wrapped_stage_keeps_its_own_state() -> None:
    inner = chain(ErrorFeedback(COARSE, 4))
    stage = ErrorFeedback(inner, 4)
    _, state, _ = stage.encode(np.full(4, 0.25, np.float32), stage.initial())
    assert len(state) == 2 and len(state[1]) == 1 and state[1][0].tolist() == [0.25] * 4


def test_a_coded_stage_gives_the_payload_and_what_it_stands_for() -> None:
    grid, top = Grid(LAYOUT, (0.5,)), TopK(keep=1, chunk=4, decay=0.0)
    stage = Coded(top, grid, 3)
    value = np.array([1, 3, 2, 0], np.float32)
    payload, state, measured = stage.encode(value, stage.initial())
    assert payload.tobytes() == top.encode(grid, value, (), 3)[0] and state == () and measured["compression.bytes"] == 3
    assert stage.decode(payload, state)[0].tolist() == [0, 3, 0, 0]
    with pytest.raises(FormatError):
        stage.decode(payload[:-1], state)


def test_a_rounds_updates_travel_packed() -> None:
    grid, digest = Grid(LAYOUT, (0.5,)), Digest(bytes(32))
    packing = Coded(Quantised(8, rotated=True), grid, 3)
    domain = Quantised(8, rotated=True).grid(grid)
    form = UpdateFormat(7, 1, digest, digest, domain.layout, domain.scales, packing=packing)
    payload = packing.encode(np.array([1, 3, 2, 0], np.float32), ())[0].tobytes()
    sent = form.encode(Update(domain.layout, domain.scales, packing.unpack(payload), 5), digest, payload)
    _, update = form.decode(sent)
    assert len(sent) == form.limit and (update.values == packing.unpack(payload)).all() and update.weight == 5
    with pytest.raises(FormatError):
        form.decode(sent[:-1])

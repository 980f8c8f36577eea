"""Planted bugs: each is one changed line of the source, and a test that passes without it fails with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType, ModuleType

import pytest

from hansa.core.errors import FormatError
from hansa.learning.compression import chunks, compression, packing, power_sgd, quantised, rotation, sparse_loco
from hansa.model import stages
from hansa.model.aggregate import Aggregate
from hansa.model.update import Update
from tests.laws import test_compression as laws
from tests.learning.compression import (
    test_chunks,
    test_feedback,
    test_packing,
    test_power_sgd,
    test_quantised,
    test_rotation,
    test_sparse_loco,
    test_topk,
)


def law(check: Callable[..., None], number: int, grid: int = 0) -> Callable[[], None]:
    return lambda: check(laws.COMPRESSIONS[number], laws.GRIDS[grid])


TOP, RANDOM, LOCO = 0, 3, 23

PLANTED: dict[str, tuple[ModuleType, str, str, str, Callable[[], None]]] = {
    "ties broken by the partition's order": (
        chunks, "_top_of_rows", "return np.flatnonzero(chosen)",
        "return np.sort(np.argpartition(-ranks, keep - 1, axis=1)[0, :keep])",
        test_chunks.test_of_equal_magnitudes_the_lower_index_is_kept,
    ),
    "ties broken from the right": (
        chunks, "_top_of_rows", "np.cumsum(tied, axis=1)", "np.cumsum(tied[:, ::-1], axis=1)[:, ::-1]",
        test_chunks.test_of_equal_magnitudes_the_lower_index_is_kept,
    ),
    "error feedback not subtracted": (
        stages, "ErrorFeedback.encode", "(due - received).astype", "due.astype",
        law(laws.test_error_feedback_keeps_to_the_bit_what_the_receiver_does_not_get, LOCO),
    ),
    "decay forgotten": (
        stages, "ErrorFeedback.encode", "np.float32(self.decay) * state[0]", "state[0]",
        test_feedback.test_decay_scales_what_waits_before_the_new_update_is_added,
    ),
    "state dropped": (
        stages, "ErrorFeedback.encode", "state[0] + value", "np.zeros_like(state[0]) + value",
        law(laws.test_without_decay_nothing_is_lost_over_many_rounds, TOP),
    ),
    "an index as large as its chunk accepted": (
        chunks, "Chunks.unpack", "int(rows.max()) >= extent", "int(rows.max()) > extent",
        test_chunks.test_an_index_outside_its_chunk_is_refused,
    ),
    "a repeated index accepted": (
        chunks, "Chunks.unpack", "(rows[:, 1:] <= rows[:, :-1])", "(rows[:, 1:] < rows[:, :-1])",
        test_chunks.test_indices_ascend_within_their_chunk_and_begin_again_in_the_next,
    ),
    "indices ascend over all chunks": (
        chunks, "Chunks.unpack", "(rows[:, 1:] <= rows[:, :-1])", "(rows.ravel()[1:] <= rows.ravel()[:-1])",
        test_chunks.test_indices_ascend_within_their_chunk_and_begin_again_in_the_next,
    ),
    "trailing bytes accepted": (
        compression, "check_length", "len(data) != size", "len(data) < size",
        law(laws.test_every_truncation_and_every_extension_is_refused, RANDOM),
    ),
    "padding bits not checked": (
        packing, "unpack", "if used and octets[-1] >> used:", "if used and octets[-1] >> used and False:",
        test_sparse_loco.test_padding_bits_are_zero,
    ),
    "the most negative integer accepted": (
        compression, "Grid.read", "< -self.largest", "< -self.largest - 1",
        lambda: test_sparse_loco.test_codebooks_that_do_not_ascend_through_zero_are_refused([-32768, -1, 1, 2]),
    ),
    "codebooks not ordered": (
        sparse_loco, "SparseLoco.decode", "codebooks[:, 1:] < codebooks[:, :-1]", "codebooks[:, 1:] < -codebooks.max()",
        lambda: test_sparse_loco.test_codebooks_that_do_not_ascend_through_zero_are_refused([-1, -2, 1, 2]),
    ),
    "one codebook for all": (
        sparse_loco, "SparseLoco.decode", "chunks.chunk_of_each() // GROUP * 4 + codes", "codes.astype(np.int64)",
        test_sparse_loco.test_each_group_of_chunks_has_its_own_codebook,
    ),
    "a step beyond the grid accepted": (
        quantised, "Quantised.decode", "int(steps.max()) * most > domain.largest", "int(steps.max()) > domain.largest",
        lambda: test_quantised.test_steps_beyond_the_grid_are_refused(8),
    ),
    "a code for minus 128 accepted": (
        quantised, "Quantised.decode", "> 2 * most", "> 2 * most + 1", test_quantised.test_the_code_for_minus_128_does_not_exist,
    ),
    "two forms of a tensor of zeros": (
        quantised, "Quantised.decode", "if not step and", "if step < 0 and", test_quantised.test_a_tensor_of_zeros_has_one_form,
    ),
    "rotated back with other signs": (
        rotation, "rotate_back", "_signs(size, seed)", "_signs(size, 0)",
        test_rotation.test_back_and_forth_is_the_same_vector_but_for_rounding,
    ),
    "a large sum rotated": (
        rotation, "rotate_back", "-int(turned.min())", "0", test_rotation.test_sums_that_could_leave_int64_are_refused,
    ),
    "a product beyond the grid wraps round": (
        power_sgd, "PowerSgd.decode", "-grid.largest, grid.largest, out=product", "-1e300, 1e300, out=product",
        test_power_sgd.test_extreme_sizes_reach_the_grid_or_saturate,
    ),
    "a cold start each round": (
        power_sgd, "PowerSgd.pack", "right.astype(np.float32).ravel()", "_start(*right.shape).astype(np.float32).ravel()",
        test_power_sgd.test_the_warm_start_finds_the_best_directions,
    ),
    "a vanished direction stays": (
        power_sgd, "_factors", "np.where(np.abs(last).any(axis=0), last, _start(*last.shape))", "last",
        test_power_sgd.test_a_direction_that_vanished_starts_afresh,
    ),
    "codes packed from the highest bit": (
        packing, "pack", 'np.packbits(bits.ravel(), bitorder="little")', 'np.packbits(bits.ravel(), bitorder="big")',
        test_packing.test_codes_lie_side_by_side_from_the_lowest_bit_on,
    ),
}  # fmt: skip


def function_of(module: ModuleType, path: str) -> FunctionType:
    found: object = module
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    assert isinstance(found, FunctionType)
    return found


def code_in(code: CodeType, path: str) -> CodeType:
    for name in path.split("."):
        code = next(each for each in code.co_consts if isinstance(each, CodeType) and each.co_name == name)
    return code


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, path, right, wrong, caught_by = PLANTED[name]
    source = inspect.getsource(module)
    function = function_of(module, path)
    body = inspect.getsource(function)
    assert body.count(right) == 1 and source.count(body) == 1
    caught_by()
    changed = compile(source.replace(body, body.replace(right, wrong)), f"planted {module.__name__}", "exec")
    with monkeypatch.context() as planted:
        planted.setattr(function, "__code__", code_in(changed, path))
        with pytest.raises((AssertionError, pytest.fail.Exception, RuntimeWarning, FormatError)):
            caught_by()


def test_a_mean_over_selectors_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def over_selectors(updates: Iterable[Update]) -> Aggregate:
        each = list(updates)
        whole = real(each)
        selectors = sum((update.values != 0).astype(int) for update in each)
        return Aggregate(whole.layout, whole.scales, whole.bits, whole.values * whole.count // selectors.clip(1), whole.weight, whole.count)

    real = Aggregate.of
    test_topk.test_the_aggregate_is_the_sum_over_all_sites_not_over_selectors()
    monkeypatch.setattr(Aggregate, "of", over_selectors)
    with pytest.raises(AssertionError):
        test_topk.test_the_aggregate_is_the_sum_over_all_sites_not_over_selectors()

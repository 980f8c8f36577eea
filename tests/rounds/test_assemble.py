from __future__ import annotations

from itertools import permutations
from weakref import WeakSet

import numpy as np
import pytest
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.errors import FormatError, ProtocolError
from hansa.core.types import Address, Digest, Wei
from hansa.model import codec
from hansa.model.aggregate import Aggregate
from hansa.model.update import Update
from hansa.rounds import assemble
from hansa.rounds.assemble import Standing, draft, outcome, read_update
from hansa.rounds.credits import credits_root
from hansa.rounds.manifest import Accepted
from tests.rounds.logistic import BASE, DATASET, SPEC, job, update
from tests.rounds.states import C, T

MADE = [update(job(), T[0], 100), update(job(), T[1], -40, 3), update(job(), T[2], 7, 2)]
BLOBS = {accepted.statement.update: blob for accepted, blob in MADE}
ACCEPTED = [accepted for accepted, _ in MADE]


def test_the_sum_is_exact_and_the_next_model_is_the_weighted_mean_away() -> None:
    made = outcome(SPEC, job(), Standing(BASE), ACCEPTED, BLOBS, Address(C[0]))
    aggregate = Aggregate.decode(made.aggregate, SPEC.layout, SPEC.pipeline.grid.scales, 16)
    assert set(aggregate.values.tolist()) == {100 - 3 * 40 + 2 * 7} and (aggregate.weight, aggregate.count) == (6, 3)
    step = np.float64(-6) * SPEC.pipeline.grid.scales[0] / 6
    assert np.array_equal(codec.decode(made.model, SPEC.layout).vector, (BASE.vector.astype(np.float64) + step).astype(np.float32))


def test_the_order_of_the_updates_changes_no_bit() -> None:
    made = {(one.aggregate, one.model, tuple(one.credits.items())) for one in (
        outcome(SPEC, job(), Standing(BASE), order, BLOBS, Address(C[0])) for order in permutations(ACCEPTED)
    )}  # fmt: skip
    assert len(made) == 1


def test_the_round_pays_on_top_of_what_was_earned_before() -> None:
    before = {Address(T[0]): Wei(50), Address(T[3]): Wei(9)}
    made = outcome(SPEC, job(), Standing(BASE, before), ACCEPTED, BLOBS, Address(C[0]))
    # Milestone of 1000 over two rounds: 500, of it 50 to verifiers, 25 to the coordinator, 141 to each trainer, dust 2.
    assert made.credits == {Address(T[0]): 191, Address(T[1]): 141, Address(T[2]): 141, Address(T[3]): 9, Address(C[0]): 27}


def test_the_draft_names_the_round_as_it_stands() -> None:
    made = outcome(SPEC, job(), Standing(BASE), ACCEPTED, BLOBS, Address(C[0]))
    updates, listing, total, model = (Digest(bytes([each]) * 32) for each in range(4))
    anchor = draft(job(), made, (updates, listing, total, model), 77, 3)
    assert (anchor.job, anchor.round, anchor.attempt, anchor.base, anchor.accepted) == (7, 1, 0, job().base, 3)
    assert (anchor.updates, anchor.manifest, anchor.aggregate, anchor.model) == (updates, listing, total, model)
    assert (anchor.manifest_size, anchor.model_size, anchor.credits) == (77, len(made.model), credits_root(7, made.credits))


def test_a_round_without_updates_has_no_outcome() -> None:
    with pytest.raises(ProtocolError, match="no update to sum"):
        outcome(SPEC, job(), Standing(BASE), [], BLOBS, Address(C[0]))


def test_a_trainer_is_not_paid_twice_for_two_updates() -> None:
    with pytest.raises(ProtocolError, match="once"):
        outcome(SPEC, job(), Standing(BASE), [*ACCEPTED, ACCEPTED[0]], BLOBS, Address(C[0]))


@pytest.mark.parametrize("other", [{"job": 8}, {"round": 2}, {"base": b"?" * 32}])
def test_a_statement_about_another_round_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="does not take"):
        read_update(SPEC, job(), Accepted(replace(ACCEPTED[0].statement, **other), b""), MADE[0][1])


@pytest.mark.parametrize("other", [{"weight": 2}, {"dataset": b"?" * 32}])
def test_a_statement_that_the_blob_contradicts_is_refused(other: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="not the one it signed"):
        read_update(SPEC, job(), Accepted(replace(ACCEPTED[0].statement, **other), b""), MADE[0][1])


def test_a_blob_of_another_round_job_or_size_is_refused() -> None:
    state = job()
    for other in (replace(state, id=8), replace(state, round=2), replace(state, base=b"?" * 32)):
        accepted, blob = update(other, T[0], 1)
        with pytest.raises((FormatError, ProtocolError)):
            read_update(SPEC, state, accepted, blob)
    with pytest.raises(FormatError, match="bytes was sent"):
        read_update(SPEC, state, ACCEPTED[0], MADE[0][1][:-1])
    assert read_update(SPEC, state, *MADE[0]).weight == 1 and sha256(MADE[0][1]) == ACCEPTED[0].statement.update and DATASET


def test_a_weight_beyond_the_spec_is_refused() -> None:
    heavy = replace(SPEC, max_weight=1_000)
    accepted, blob = update(job(), T[0], 1)
    weighted = bytearray(blob)
    weighted[20:24] = (500).to_bytes(4, "little")
    assert read_update(heavy, job(), Accepted(replace(accepted.statement, weight=500), b""), bytes(weighted)).weight == 500
    with pytest.raises(FormatError, match="weight is 500"):
        read_update(SPEC, job(), Accepted(replace(accepted.statement, weight=500), b""), bytes(weighted))


class _Watched(Update):
    """An update that can be counted while it is alive."""


def test_the_mean_holds_few_updates_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    state, most, alive = job(), 0, WeakSet[Update]()

    def spied(*arguments: object) -> Update:
        nonlocal most
        made = read_update(*arguments)  # type: ignore[arg-type]
        watched = _Watched(made.layout, made.scales, made.values, made.weight)
        alive.add(watched)
        most = max(most, len(alive))
        return watched

    class Once(dict[bytes, bytes]):
        """Blobs that are given away once: whoever wants to keep one has to."""

        def __getitem__(self, digest: bytes) -> bytes:
            return self.pop(digest)

    made = [update(state, f"0x{number:040x}", number % 200) for number in range(100)]
    accepted, blobs = [each for each, _ in made], {each.statement.update: blob for each, blob in made}
    expected = outcome(SPEC, state, Standing(BASE), accepted, blobs, Address(C[0]))
    monkeypatch.setattr(assemble, "read_update", spied)
    assert outcome(SPEC, state, Standing(BASE), accepted, Once(blobs), Address(C[0])) == expected
    assert 0 < most <= 16 and not alive

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from hansa.core.encoding import sha256
from hansa.core.types import Judgement, Role
from hansa.rounds import manifest as manifests
from hansa.rounds.job import JobState, Phase
from hansa.rounds.manifest import Manifest
from hansa.simulation.company import account, company
from hansa.simulation.miniature import NO_ANCHOR, Draft, assemble, judge, train
from hansa.simulation.world import World

TRAINERS = [account(Role.TRAINER, number) for number in range(4)]


def judged() -> tuple[World, JobState]:
    """A world whose second round is anchored, rightly; everything in it is known to `world.seen`."""
    world = company()
    while not (world.job().phase is Phase.ANCHORED and world.job().round == 2):
        world.step()
    return world, world.job()


def forged(world: World, job: JobState, change: Callable[[Manifest], Manifest]) -> JobState:
    """The same anchor over another manifest."""
    assert job.anchor is not None
    page = manifests.write(change(manifests.read(world.seen[job.anchor.manifest])))
    world.seen[sha256(page)] = page
    return replace(job, anchor=replace(job.anchor, manifest=sha256(page), manifest_size=len(page)))


def test_a_round_recomputes() -> None:
    world, job = judged()
    verdict = judge(job, world.seen.get, {})
    assert verdict is not None and job.anchor is not None
    assert (verdict.judgement, verdict.digest) == (Judgement.VALID, job.anchor.digest())


def test_training_is_a_pure_function_of_who_where_and_when() -> None:
    _, job = judged()
    assert train(job, TRAINERS[0]) == train(job, TRAINERS[0])
    others = {train(job, TRAINERS[1])[1], train(replace(job, round=3), TRAINERS[0])[1], train(replace(job, base=b"?" * 32), TRAINERS[0])[1]}
    assert len(others | {train(job, TRAINERS[0])[1]}) == 4


@pytest.mark.parametrize("field", ["updates", "aggregate", "model", "model_size", "credits"])
def test_a_changed_field_is_wrong_and_all_name_the_same_right_digest(field: str) -> None:
    world, job = judged()
    assert job.anchor is not None
    right = job.anchor.digest()
    value = getattr(job.anchor, field)
    lie = replace(job, anchor=replace(job.anchor, **{field: value + 1 if isinstance(value, int) else job.base}))
    verdict = judge(lie, world.seen.get, {})
    assert verdict is not None and (verdict.judgement, verdict.digest) == (Judgement.WRONG, right)


@pytest.mark.parametrize(
    "change",
    [
        lambda page: replace(page, updates=page.updates[:3]),
        lambda page: replace(page, round=1),
        lambda page: replace(page, coordinator=TRAINERS[0]),
        lambda page: replace(page, updates=(replace(page.updates[0], signature=b"?"), *page.updates[1:])),
        lambda page: replace(
            page, updates=(replace(page.updates[0], statement=replace(page.updates[0].statement, weight=2)), *page.updates[1:])
        ),
    ],
    ids=["below quorum", "another round", "another coordinator", "no signature", "another statement"],
)
def test_a_set_of_updates_that_cannot_be_right_has_no_right_anchor(change: Callable[[Manifest], Manifest]) -> None:
    world, job = judged()
    verdict = judge(forged(world, job, change), world.seen.get, {})
    assert verdict is not None and (verdict.judgement, verdict.digest) == (Judgement.WRONG, NO_ANCHOR)


def test_bytes_that_are_no_manifest_are_wrong() -> None:
    world, job = judged()
    assert job.anchor is not None
    world.seen[sha256(b"{}")] = b"{}"
    verdict = judge(replace(job, anchor=replace(job.anchor, manifest=sha256(b"{}"))), world.seen.get, {})
    assert verdict is not None and verdict.digest == NO_ANCHOR


def test_r5_what_cannot_be_fetched_gets_no_verdict() -> None:
    world, job = judged()
    assert job.anchor is not None
    update = train(job, TRAINERS[0])[0].statement.update
    for missing in (job.anchor.manifest, job.anchor.model, job.anchor.aggregate, job.base, update, job.final[0].anchor.manifest):
        assert judge(job, lambda digest, missing=missing: None if digest == missing else world.seen.get(digest), {}) is None  # type: ignore[misc]


def omitting() -> tuple[World, JobState, Draft]:
    """Round 2 anchored in time, but without the first trainer, which had registered."""
    world, job = judged()
    waited = replace(job, terms=replace(job.terms, quorum=3), anchored_at=int(job.gather_until()) + 1)
    draft = assemble(waited, job.coordinator, [train(job, each)[0] for each in TRAINERS[1:]], world.seen.get)
    assert draft is not None
    world.seen.update(draft.blobs)
    update = train(job, TRAINERS[0])[0].statement.update
    return world, replace(waited, anchor=draft.anchor, registered=((TRAINERS[0], update),)), draft


def test_r5_an_anchor_that_omits_what_was_registered_and_left_here_is_wrong() -> None:
    world, job, draft = omitting()
    verdict = judge(job, world.seen.get, {TRAINERS[0]: train(job, TRAINERS[0])[0]})
    assert verdict is not None and verdict.judgement is Judgement.WRONG and verdict.digest not in (NO_ANCHOR, draft.anchor.digest())


def test_r5_what_was_registered_but_left_nowhere_or_left_but_never_registered_accuses_nobody() -> None:
    world, job, _ = omitting()
    left = {TRAINERS[0]: train(job, TRAINERS[0])[0]}
    for state, lodged in ((job, {}), (replace(job, registered=()), left), (replace(job, registered=((TRAINERS[0], b"?" * 32),)), left)):
        verdict = judge(state, world.seen.get, lodged)
        assert verdict is not None and verdict.judgement is Judgement.VALID


def test_r5_an_anchor_that_did_not_wait_for_a_trainer_is_wrong() -> None:
    world, job, _ = omitting()
    verdict = judge(replace(job, anchored_at=job.since + 1, registered=()), world.seen.get, {})
    assert verdict is not None and (verdict.judgement, verdict.digest) == (Judgement.WRONG, NO_ANCHOR)

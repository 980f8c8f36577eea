"""Planted bugs: each of them is caught, by a scenario or by the stateful suite, which both pass without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import Phase as Step
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from msgspec.structs import replace

from hansa.core.types import Role
from hansa.rounds import ballots, client, coordinator, duties, job, trainer, upkeep, verifier
from hansa.rounds import events as facts
from hansa.rounds.duties import Ballot, Duty
from hansa.rounds.events import LedgerEvent
from hansa.rounds.job import JobState, Phase
from hansa.simulation import adversary, cohort, payout, purse, referee
from hansa.simulation.party import Party
from hansa.simulation.verifier import Verifier
from hansa.simulation.worker import Coordinator
from tests.rounds import test_disturbances as disturbances
from tests.rounds import test_membership as membership
from tests.rounds import test_scenarios as scenarios
from tests.rounds.test_stateful import FAST, Company

Patch = pytest.MonkeyPatch
Mutation = Callable[[Patch], None]
MUTATIONS: dict[str, tuple[Mutation, Callable[..., None]]] = {}


def stateful() -> None:
    """The stateful suite; without shrinking, because the failure is what counts here, and for longer, because it ends with the first."""
    longer = settings(FAST, max_examples=2_000, phases=[Step.generate], report_multiple_bugs=False)
    run_state_machine_as_test(Company, settings=longer)


def planted(caught_by: Callable[..., None]) -> Callable[[Mutation], Mutation]:
    def plant(mutation: Mutation) -> Mutation:
        MUTATIONS[mutation.__name__] = (mutation, caught_by)
        return mutation

    return plant


def forgets(patch: Patch, kind: type[Party], entry: str) -> None:
    """The party remembers such entries, but does not journal them."""
    note = kind.note
    patch.setattr(kind, "note", lambda self, *each: self.remember(*each) if each[0] == entry else note(self, *each))


@planted(lambda: scenarios.test_r5_a_third_that_fetched_ends_a_round_by_time(3))
def two_thirds_off_by_one(patch: Patch) -> None:
    patch.setattr(JobState, "two_thirds", lambda self: -(-2 * len(self.verifiers) // 3) - 1)


@planted(lambda: scenarios.test_r5_a_third_that_fetched_ends_a_round_by_time(4))
def one_third_off_by_one(patch: Patch) -> None:
    patch.setattr(JobState, "one_third", lambda self: -(-len(self.verifiers) // 3) + 1)


@planted(stateful)
def ledger_takes_a_third_for_two(patch: Patch) -> None:
    real = referee.Referee.finalise

    def finalise(self: referee.Referee, account: str, anchor: Any, ballots: Sequence[Ballot]) -> None:
        terms, self.terms = self.terms, replace(self.terms, verifiers=self.terms.verifiers // 2)
        try:
            real(self, account, anchor, ballots)
        finally:
            self.terms = terms

    patch.setattr(referee.Referee, "finalise", finalise)
    patch.setattr(JobState, "two_thirds", lambda self: -(-len(self.verifiers) // 3))


@planted(lambda: scenarios.test_r7_a_lie_costs_the_coordinator_everything("model", pytest.MonkeyPatch()))
def condemn_not_counted(patch: Patch) -> None:
    patch.setattr(upkeep, "deciding_wrong", lambda job, box: (b"", ()))


@planted(disturbances.test_an_undisturbed_job_pays_everybody_and_leaves_nothing)
def takeover_before_patience(patch: Patch) -> None:
    def standby(job: JobState, me: str, now: float) -> list[Duty]:
        return [duties.Takeover(job.id, job.round, job.attempt, job.since)] if me in job.standbys else []

    patch.setattr(coordinator, "_standby", standby)


@planted(scenarios.test_silence_of_the_coordinator_brings_the_standby_and_costs_a_tenth)
def standby_never_acts(patch: Patch) -> None:
    patch.setattr(coordinator, "_standby", lambda job, me, now: [])


@planted(stateful)
def verifier_signs_without_checking(patch: Patch) -> None:
    patch.setattr(Verifier, "judge", adversary.LazyVerifier.judge)


@planted(disturbances.test_a_crash_after_the_draft_sends_the_same_anchor_again)
def draft_not_journalled(patch: Patch) -> None:
    forgets(patch, Coordinator, "draft")


@planted(lambda: disturbances.test_a_crash_at_any_second_changes_no_model(disturbances.PRIMARY))
def receipt_before_the_update_is_journalled(patch: Patch) -> None:
    forgets(patch, Coordinator, "took")


@planted(scenarios.test_whoever_takes_over_is_brought_what_the_late_one_had_receipts_for)
def receipt_binds_no_coordinator(patch: Patch) -> None:
    real = trainer.trainer_duties

    def owed(job: JobState, me: str, own: trainer.TrainerFacts, now: float) -> list[Duty]:
        if any((round, attempt) == (job.round, job.attempt) for round, attempt, _ in own.receipts):
            own = replace(own, receipts=frozenset({(job.round, job.attempt, job.coordinator)}))
        return real(job, me, own, now)

    patch.setattr("hansa.simulation.worker.trainer_duties", owed)


@planted(disturbances.test_r7_later_proof_undoes_a_final_round_and_all_that_followed)
def reopening_keeps_final_rounds(patch: Patch) -> None:
    real = job._open_round

    def open_round(state: JobState, event: Any) -> JobState:
        return replace(real(state, event), final=state.final)

    patch.setattr(job, "_open_round", open_round)


@planted(disturbances.test_a_wrong_anchor_that_was_only_seen_too_late_lapses)
def witnesses_count_wrong_votes(patch: Patch) -> None:
    def witnesses(job: JobState, box: Mapping[int, Ballot]) -> tuple[Ballot, ...]:
        return tuple(box[seat] for seat in sorted(box)) if len(box) >= job.one_third() else ()

    patch.setattr(upkeep, "witnesses", witnesses)


@planted(scenarios.test_a_seat_that_contradicted_itself_is_not_counted_any_more)
def excluded_seats_count(patch: Patch) -> None:
    patch.setattr(ballots, "_counted", lambda job, box, *kinds: tuple(box[seat] for seat in sorted(box) if box[seat].judgement in kinds))


@planted(stateful)
def settles_before_the_window(patch: Patch) -> None:
    patch.setattr(JobState, "firm_at", lambda self, milestone: _anchored_at(self, milestone))
    patch.setattr(referee.Referee, "firm_at", lambda self, milestone: self.last(milestone).anchored_at)


def _anchored_at(state: JobState, milestone: int) -> int | None:
    last = (milestone + 1) * state.rounds_per_milestone
    return state.final[last - 1].anchored_at if len(state.final) >= last else None


@planted(disturbances.test_nothing_is_paid_twice)
def claims_are_not_written_down(patch: Patch) -> None:
    real = payout.Payout.claim

    def claim(self: payout.Payout, account: str, cumulative: int, proof: Sequence[bytes]) -> None:
        real(self, account, cumulative, proof)
        self.paid[account] = 0

    patch.setattr(payout.Payout, "claim", claim)


@planted(stateful)
def slashing_burns_nothing(patch: Patch) -> None:
    real = purse.Purse.slash

    def slash(self: purse.Purse, *arguments: Any) -> int:
        burned = self.burned
        taken = real(self, *arguments)
        self.burned = burned
        return taken

    patch.setattr(purse.Purse, "slash", slash)


@planted(scenarios.test_r5_withheld_blobs_never_win_though_a_third_swears_it_fetched_them)
def what_cannot_be_fetched_is_not_challenged(patch: Patch) -> None:
    real = verifier._challenges
    patch.setattr(verifier, "_challenges", lambda job, seat, mine, now: mine is not None and real(job, seat, mine, now))


@planted(scenarios.test_r7_one_honest_seat_stops_a_lie_that_two_thirds_cannot_prove)
def wrong_is_said_but_not_challenged(patch: Patch) -> None:
    patch.setattr(verifier, "_challenges", lambda job, seat, mine, now: False)


@planted(disturbances.test_r17_a_coordinator_that_dies_after_its_anchor_leaves_the_blobs_behind)
def blobs_have_one_holder(patch: Patch) -> None:
    patch.setattr(Coordinator, "_place", adversary.WithholdingCoordinator._place)


@planted(disturbances.test_work_delivered_at_the_deadline_is_paid)
def deadline_refunds_delivered_work(patch: Patch) -> None:
    def settlement(job: JobState, late: float) -> list[Duty]:
        return [duties.Expire(job.id)] if late >= job.terms.deadline and job.phase is Phase.DONE else real(job, late)

    real = upkeep._settlement
    patch.setattr(upkeep, "_settlement", settlement)
    patch.setattr(referee.Referee, "expire", lambda self, account: self._end(referee.EXPIRED, self.tick()))


@planted(disturbances.test_one_party_alone_of_any_kind_ends_every_job)
def trainers_leave_upkeep_to_others(patch: Patch) -> None:
    patch.setattr(trainer, "upkeep", lambda job, boxes, now, rank: [])


@planted(disturbances.test_a_job_that_nobody_started_in_time_expires)
def enrolment_never_expires(patch: Patch) -> None:
    def up(job: JobState, boxes: upkeep.Boxes, now: float, rank: int) -> list[Duty]:
        return upkeep._enrolment(job, now) if job.phase is Phase.ENROLLING else real(job, boxes, now, rank)

    real = upkeep.upkeep
    patch.setattr(trainer, "upkeep", up)


@planted(stateful)
def nobody_releases_stake(patch: Patch) -> None:
    def keep(job: JobState, me: str, claimed: frozenset[int]) -> list[Duty]:
        return [duty for duty in real(job, me, claimed) if not isinstance(duty, duties.Release)]

    real = trainer.parting
    for module in (trainer, coordinator, verifier):
        patch.setattr(module, "parting", keep)


@planted(scenarios.test_r5_nobody_is_left_out_before_it_could_go_to_the_ledger)
def an_incomplete_anchor_need_not_wait(patch: Patch) -> None:
    patch.setattr(JobState, "premature", lambda self: False)


@planted(scenarios.test_r5_a_trainer_that_the_coordinator_ignores_goes_to_the_ledger)
def trainers_never_go_to_the_ledger(patch: Patch) -> None:
    patch.setattr(JobState, "register_from", lambda self: self.terms.deadline)


@planted(scenarios.test_r5_an_update_that_was_left_with_nobody_accuses_nobody)
def nobodys_update_is_waited_for(patch: Patch) -> None:
    patch.setattr(JobState, "blocking", lambda self: len(self.verifiers) + 1)


@planted(disturbances.test_an_undisturbed_job_pays_everybody_and_leaves_nothing)
def fees_lose_what_rounding_leaves(patch: Patch) -> None:
    real = payout.Payout._fee
    patch.setattr(payout.Payout, "_fee", lambda self, milestone, index, seat: real(self, milestone, index, seat) // 10 * 10)


@planted(scenarios.test_a_trainer_that_cannot_reach_the_coordinator_is_collected_from_the_verifiers)
def registered_updates_are_not_collected(patch: Patch) -> None:
    real = coordinator._office

    def office(job: JobState, own: coordinator.CoordinatorFacts, now: float) -> list[Duty]:
        return [duty for duty in real(job, own, now) if not isinstance(duty, duties.Collect)]

    patch.setattr(coordinator, "_office", office)


@planted(disturbances.test_r11_shards_open_when_a_milestone_is_firm_and_acceptance_outlives_the_job)
def shards_open_before_the_milestone_is_firm(patch: Patch) -> None:
    patch.setattr(payout.Payout, "open_shard", _early_shard(payout.Payout.open_shard))
    real = client.client_duties

    def owed(job: JobState, me: str, shards: int, now: float) -> list[Duty]:
        return real(job, me, shards, now + (job.terms.window if job.final else 0))

    patch.setattr("hansa.simulation.party.client_duties", owed)


def _early_shard(real: Callable[..., None]) -> Callable[..., None]:
    def open_shard(self: payout.Payout, *arguments: Any) -> None:
        firm_at = self._referee.firm_at
        self._referee.firm_at = lambda milestone: firm_at(milestone) - self._referee.terms.window  # type: ignore[method-assign]
        try:
            real(self, *arguments)
        finally:
            self._referee.firm_at = firm_at  # type: ignore[method-assign]

    return open_shard


@planted(disturbances.test_r8_seats_are_drawn_and_who_does_not_reveal_forfeits)
def silence_in_the_draw_is_free(patch: Patch) -> None:
    patch.setattr(cohort, "LATE_BPS", 0)


@planted(disturbances.test_r16_a_chain_that_was_down_took_nobodys_time)
def time_runs_while_the_chain_is_down(patch: Patch) -> None:
    patch.setattr("hansa.simulation.protocol_clock.ProtocolClock.tick", lambda self: int(self._wall.now()))
    patch.setattr("hansa.simulation.protocol_clock.ProtocolClock.time", lambda self: int(self._wall.now()))


@planted(stateful)
def leavers_count_in_later_rounds(patch: Patch) -> None:
    patch.setattr(JobState, "present", property(lambda self: tuple(sorted({*self.trainers, *self.joined}))))


@planted(membership.test_a_leaver_is_paid_for_what_it_left_in_and_nobody_waits_for_it_later)
def the_ledger_counts_leavers_in_later_rounds(patch: Patch) -> None:
    patch.setattr(cohort.Cohort, "taking_part", lambda self: tuple(each for each in self.accounts(Role.TRAINER)))


@planted(membership.test_a_newcomer_works_from_its_first_round_on_and_is_paid_for_it)
def newcomers_count_before_their_first_round(patch: Patch) -> None:
    def apply(state: JobState, event: LedgerEvent) -> JobState:
        after = job.apply(state, event)
        if not isinstance(event, facts.Enrolled) or not after.running:
            return after
        return replace(after, trainers=tuple(sorted({*after.trainers, *after.joined})))

    patch.setattr("hansa.simulation.world.apply", apply)


@planted(membership.test_a_leaver_is_paid_for_what_it_left_in_and_nobody_waits_for_it_later)
def a_leavers_lock_is_released_twice(patch: Patch) -> None:
    real = cohort.Cohort.leave

    def leave(self: cohort.Cohort, account: str, at: int) -> None:
        real(self, account, at)
        self._purse.staked[account] += self._terms.trainer_stake

    patch.setattr(cohort.Cohort, "leave", leave)


@planted(membership.test_a_seat_that_a_leaver_gave_up_is_taken_by_another)
def a_leavers_seat_is_not_freed(patch: Patch) -> None:
    patch.setattr(cohort.Cohort, "enrol", _without_seats(cohort.Cohort.enrol))


def _without_seats(real: Callable[..., None]) -> Callable[..., None]:
    def enrol(self: cohort.Cohort, *arguments: Any) -> None:
        seated = self.seated
        self.seated = lambda: self.accounts(Role.TRAINER)  # type: ignore[method-assign]
        try:
            real(self, *arguments)
        finally:
            self.seated = seated  # type: ignore[method-assign]

    return enrol


@planted(membership.test_the_same_coordinator_does_not_sum_what_a_leaver_brought_for_an_attempt_that_is_void)
def updates_of_who_has_left_are_summed(patch: Patch) -> None:
    patch.setattr(coordinator, "takeable", lambda job, updates, staleness, used: updates.get((job.round, job.base), {}))


@planted(membership.test_a_deserted_job_goes_on_with_newcomers)
def a_coordinator_pays_for_trainers_that_left(patch: Patch) -> None:
    patch.setattr(cohort.Cohort, "deserted", lambda self: False)


@planted(membership.test_a_deserted_job_goes_on_with_newcomers)
def nobody_regroups(patch: Patch) -> None:
    patch.setattr(JobState, "regroup_from", lambda self: None)


@planted(membership.test_who_leaves_before_its_update_is_made_still_makes_and_brings_it)
def who_leaves_drops_its_work(patch: Patch) -> None:
    def owed(job: JobState, me: str, own: trainer.TrainerFacts, now: float) -> list[Duty]:
        return trainer.parting(job, me, own.claimed) if me in job.left else real(job, me, own, now)

    real = trainer.trainer_duties
    patch.setattr("hansa.simulation.worker.trainer_duties", owed)


@pytest.mark.parametrize("name", sorted(MUTATIONS))
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation, caught_by = MUTATIONS[name]
    mutation(monkeypatch)
    with pytest.raises(BaseException) as caught:
        caught_by()
    # A typing slip in the mutation itself would not show anything.
    assert not isinstance(caught.value, TypeError | NameError | AttributeError), caught.value

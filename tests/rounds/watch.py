"""What must hold of a simulated world after every step, whatever happened in it."""

from __future__ import annotations

from hansa.core.types import Judgement
from hansa.rounds import events as facts
from hansa.rounds.events import LedgerEvent
from hansa.rounds.job import JobState, Phase
from hansa.rounds.upkeep import GRACE
from hansa.simulation.adversary import WithholdingCoordinator
from hansa.simulation.miniature import assemble, credit_table, judge, train
from hansa.simulation.party import Party
from hansa.simulation.verifier import Verifier
from hansa.simulation.world import World


class Watch:
    """`tainted`: parties that were dishonest at any time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tainted = {name for name, party in world.parties.items() if not party.honest}
        self._read = 0
        self._anchored: dict[tuple[int, int], float] = {}
        self._withheld: dict[tuple[int, int], str] = {}

    def check(self) -> None:
        log = self.world.referee.log
        # Who serves its blobs after all has withheld nothing.
        serving = [at for at, name in self._withheld.items() if not isinstance(self.world.parties[name], WithholdingCoordinator)]
        for at in serving:
            del self._withheld[at]
        for place in range(self._read, len(log)):
            self._fact(log[place], self.world.state(place) if place else None)
        self._read = len(log)
        self._money()
        self._one_story()
        self._fold_is_the_referee()

    def _fact(self, fact: LedgerEvent, before: JobState | None) -> None:
        if isinstance(fact, facts.RoundAnchored) and before is not None:
            at = (fact.round, fact.anchor.attempt)
            assert fact.coordinator == before.coordinator, "somebody out of office anchored"
            assert at not in self._anchored, "one attempt was anchored twice"
            self._anchored[at] = self.world.clock.now()
            others = [party for name, party in self.world.parties.items() if name != fact.coordinator]
            served = any(fact.anchor.manifest in party.blobs for party in others)
            if isinstance(self.world.parties[fact.coordinator], WithholdingCoordinator) and not served:
                self._withheld[at] = fact.coordinator
        if isinstance(fact, facts.RoundFinalised) and before is not None:
            at = (fact.round, fact.attempt)
            # A party may come back to honesty or serve again; what it anchored before stays what it was.
            truth = judge(before, self.world.seen.get, {})
            assert truth is not None, "an anchor became final whose blobs never existed"
            if self._somebody_watched(before, at):
                assert truth.judgement is Judgement.VALID, "a false anchor became final under the eyes of an honest verifier"
                assert at not in self._withheld, "withheld blobs won"
            if before.terms.quorum == len(before.trainers):
                assert before.anchor is not None and before.anchor.model == self._undisturbed(before), "the run changed the model"
        if isinstance(fact, facts.MilestoneSettled) and before is not None:
            last = before.final[(fact.milestone + 1) * before.rounds_per_milestone - 1]
            assert fact.at >= last.anchored_at + before.terms.window, "money left before later proof was shut out (R7)"
        if isinstance(fact, facts.Condemned):
            assert fact.coordinator in self.tainted, "an honest coordinator was condemned"
        if isinstance(fact, facts.Penalised) and fact.role == 3:
            assert fact.account in self.tainted, "an honest verifier was slashed"

    def _somebody_watched(self, job: JobState, at: tuple[int, int]) -> bool:
        """Whether an honest seat was up and reached the ledger from the anchoring until now."""
        seats = [self.world.parties[seat] for seat in job.verifiers]
        # Who was cut off before the anchoring and still is has been steady, but saw nothing of it.
        there = [seat for seat in seats if seat.honest and seat.up and self.world.reaches_ledger(seat.account)]
        return any(seat.steady_since <= self._anchored[at] for seat in there)

    def _undisturbed(self, job: JobState) -> bytes:
        """The model that the round's trainers, all of them, make of its base when nothing goes wrong."""
        blobs: dict[bytes, bytes] = {}
        accepted = []
        for trainer in job.trainers:
            made, blob = train(job, trainer)
            accepted.append(made)
            blobs[made.statement.update] = blob
        draft = assemble(job, job.coordinator, accepted, lambda digest: blobs.get(digest) or self.world.seen.get(digest))
        assert draft is not None, "the round started from a model that never existed"
        return draft.anchor.model

    def _money(self) -> None:
        purse = self.world.purse
        assert purse.conserved(), "money was made or lost"
        job = self.world.job()
        if job.settled:
            table = credit_table(job.final[len(job.settled) * job.rounds_per_milestone - 1].anchor, self.world.seen.get) or {}
            earned = {account: int(amount) for account, amount in table.items()}
            for account, amount in self.world.payout.paid.items():
                assert amount <= earned.get(account, 0), f"{account} was paid more than it earned"

    def _one_story(self) -> None:
        for (account, round, attempt), anchors in self.world.anchors_sent.items():
            assert account in self.tainted or len(anchors) == 1, f"{account} anchored round {round} attempt {attempt} in two ways"
        for party in self.world.parties.values():
            if isinstance(party, Verifier) and party.honest:
                signed = [entry[1] for entry in party.journal if entry[0] == "verdict"]
                assert len(signed) == len(set(signed)), f"{party.account} signed two verdicts on one anchor"

    def _fold_is_the_referee(self) -> None:
        job, referee = self.world.job(), self.world.referee
        assert job.phase is referee.phase, f"the ledger is {referee.phase}, its readers think {job.phase}"
        assert job.coordinator == referee.coordinator
        cohort = referee.cohort
        assert job.trainers == tuple(sorted(cohort.taking_part() if cohort.openings else cohort.seated())), "others take part"
        assert job.present == tuple(sorted(cohort.seated())), "others are seated"
        assert len(job.present) <= job.terms.max_trainers, "there are more trainers than seats"
        for name in job.left:
            assert not referee.purse.locks.get(name), f"{name} left, and its stake did not"
        if job.phase not in (Phase.ENROLLING, Phase.DONE, Phase.CLOSED):
            assert (job.round, job.attempt) == (referee.round, referee.attempt)

    def finish(self, *survivors: str) -> None:
        """Only `survivors` go on (all when none is named) and time passes: the job ends, and nothing stays behind."""
        world = self.world
        world.heal()
        world.loss = 0.0
        for account in world.parties:
            if survivors and account not in survivors:
                world.kill(account)
            else:
                world.restart(account)
        terms = world.referee.terms
        bound = terms.deadline + 3 * terms.window + 2 * GRACE * len(world.parties) - world.referee.clock.time()
        world.run(max(bound, 2 * GRACE * len(world.parties)), until=self._closed)
        self.check()
        assert self._closed(), f"the job never ended; it is {world.job().phase}"
        for account in world.parties:
            world.restart(account)
        world.run(10)
        for account in self.tainted & {*world.referee.cohort.members}:
            world.referee.release("anyone", account)
        self.check()
        assert not any(world.purse.locks.values()), f"locks were left: {world.purse.locks}"
        assert not world.purse.escrow and not world.purse.bonds, "escrow or bonds were left"

    def _closed(self) -> bool:
        return self.world.job().phase is Phase.CLOSED


def honest(world: World, kind: type[Party]) -> list[str]:
    """Accounts of the honest parties of a kind."""
    return [name for name, party in world.parties.items() if isinstance(party, kind) and party.honest]

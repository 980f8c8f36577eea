from __future__ import annotations

from hansa.core.types import Judgement
from hansa.rounds import duties
from hansa.rounds import events as facts
from hansa.rounds.duties import Ballot
from hansa.rounds.job import JobState
from hansa.rounds.verifier import VerifierFacts, verifier_duties
from tests.rounds.states import JOB, OUTSIDER, TERMS, C, V, after, anchored, box, challenged, enrolled, finalised, names, running

AT = (1, 0)
ENDS = 120 + TERMS.window


def said(judgement: Judgement, *, published: bool = True, digest: bytes = b"w" * 32) -> VerifierFacts:
    return VerifierFacts({AT: Ballot(0, judgement, digest, b"")}, frozenset({AT} if published else ()), {})


def due(state: JobState, own: VerifierFacts | None = None, now: float = 121, me: str = V[0]) -> list[str]:
    return names(verifier_duties(state, me, own or VerifierFacts({}, frozenset(), {}), now))


def test_it_judges_each_anchor_once_and_says_so_until_everybody_knows() -> None:
    assert due(anchored()) == ["Check"] and due(anchored(), said(Judgement.VALID, published=False)) == ["Publish"]
    assert due(anchored(), said(Judgement.VALID)) == [] and due(running()) == []


def test_it_also_judges_what_is_challenged() -> None:
    assert due(challenged(), now=131) == ["Check"] and due(challenged(), said(Judgement.WRONG), 131) == []


def test_r7_a_wrong_anchor_is_challenged_seat_after_seat_inside_the_window() -> None:
    wrong = said(Judgement.WRONG)
    assert due(anchored(), wrong, 120) == ["Challenge"] and due(anchored(), wrong, 120, V[1]) == []
    assert due(anchored(), wrong, 122, V[1]) == ["Challenge"] == due(anchored(), wrong, ENDS - 1)
    assert due(anchored(), wrong, ENDS) == []


def test_r7_every_seat_of_many_has_its_turn_before_the_window_ends() -> None:
    state = anchored(running(7, window=4))
    assert due(state, said(Judgement.WRONG), 123, V[6]) == ["Challenge"]
    assert "Challenge" in due(state, None, 123.9, V[6])


def test_r5_what_cannot_be_checked_in_half_of_the_window_is_challenged() -> None:
    half = 120 + TERMS.window / 2
    assert due(anchored(), now=half - 1) == ["Check"] and due(anchored(), now=half) == ["Check", "Challenge"]
    assert due(anchored(), now=half, me=V[1]) == ["Check"] and due(anchored(), said(Judgement.FETCHED), half) == []
    assert due(anchored(), now=ENDS) == ["Check"]


def test_r8_candidates_reveal_when_there_are_too_many_and_only_in_time() -> None:
    state = enrolled(verifiers=5)
    assert due(state, now=99) == [] and due(state, now=100) == ["Reveal"] == due(state, now=139)
    assert due(state, now=140, me=V[0]) == [] and due(enrolled(), now=107, me=V[0]) == [] and due(enrolled(), now=108) == ["Start"]
    shown = after(state, facts.Revealed(job=JOB, account=V[0]))
    assert due(shown, now=100) == [] and due(shown, now=139, me=V[1]) == ["Reveal"]


def test_r8_a_missed_reveal_leaves_it_to_the_upkeep() -> None:
    assert due(enrolled(verifiers=5), now=160) == ["Cancel"]


def test_a_candidate_without_a_seat_gets_its_stake_back_at_once() -> None:
    seated = facts.Seated(job=JOB, at=140, verifiers=tuple(V[1:4]), coordinators=tuple(C))
    state = after(enrolled(verifiers=5), seated)
    opened = facts.RoundOpened(job=JOB, at=140, round=1, attempt=0, base=state.base, coordinator=C[0], opened_at=140)
    assert due(after(state, opened), now=141) == ["Release"]
    assert due(after(state, opened, facts.MemberReleased(job=JOB, account=V[0])), now=141) == []
    assert due(after(state, opened), now=141, me=V[1]) == []


def test_a_seat_that_was_lost_judges_nothing_but_still_leaves_with_its_stake() -> None:
    out = facts.Penalised(job=JOB, account=V[0], role=3, amount=50, out=True)
    assert due(after(anchored(), out)) == []
    assert due(after(running(), out, facts.JobClosed(job=JOB, reason=2))) == ["Release"]


def test_r11_an_opened_shard_is_measured_and_two_thirds_accept_also_after_the_end() -> None:
    state = after(finalised(2), facts.ShardOpened(job=JOB, milestone=0, digest=b"q" * 32))
    firm = state.firm_at(0) or 0
    nothing = VerifierFacts({}, frozenset(), {})
    [duty] = [each for each in verifier_duties(state, V[0], nothing, firm) if isinstance(each, duties.Evaluate)]
    assert "Evaluate" not in due(state, nothing, firm - 1) and "Evaluate" not in due(state, nothing, firm, V[1])
    assert (duty.model, duty.shard) == (state.final[1].anchor.model, b"q" * 32)
    one = VerifierFacts({}, frozenset(), {}, frozenset({0}), {0: 1})
    two = VerifierFacts({}, frozenset(), {}, frozenset({0}), {0: 2})
    closed = after(state, facts.JobClosed(job=JOB, reason=2), facts.MemberReleased(job=JOB, account=V[0]))
    assert "Accept" not in due(state, one, 500) and "Accept" in due(state, two, 500) and "Accept" in due(closed, two, 900)
    accepted = facts.ModelAccepted(job=JOB, milestone=0, model=duty.model, metric=1, baseline=0)
    assert "Accept" not in due(after(state, accepted), two, 500)


def test_r11_a_shard_of_an_unfinished_milestone_is_not_looked_at() -> None:
    assert due(after(finalised(1), facts.ShardOpened(job=JOB, milestone=0, digest=b"q"))) == []


def test_its_box_decides_in_its_turn() -> None:
    own = VerifierFacts({AT: box("v")[0]}, frozenset({AT}), {AT: box("vv-")})
    assert due(anchored(), own, 121) == [] and due(anchored(), own, 129) == ["Finalise"]


def test_who_is_no_candidate_owes_nothing() -> None:
    assert due(anchored(), me=OUTSIDER) == []

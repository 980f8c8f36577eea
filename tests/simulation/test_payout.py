"""How a job ends: settled, expired, claimed, accepted; and every refusal on the way."""

from __future__ import annotations

from hansa.core import merkle
from hansa.rounds.job import Phase
from hansa.simulation.company import BUDGET, CLIENT
from hansa.simulation.purse import net_of
from hansa.simulation.seal import shard_leaf
from tests.simulation.court import RICH, SALT, Court, T, V, refused


def test_settle_in_order_after_the_window_and_close_after_all() -> None:
    court = Court(rounds=2, milestones=2)
    refused(lambda: court.referee.settle("anyone", 0), "not complete")
    court.finalise()
    refused(lambda: court.referee.settle("anyone", 0), "window of the last round")
    court.to(10)
    court.finalise()
    court.to(16)
    refused(lambda: court.referee.settle("anyone", 1), "milestone 0 is the next")
    court.referee.settle("anyone", 0)
    refused(lambda: court.referee.settle("anyone", 1), "window of the last round")
    refused(lambda: court.referee.close("anyone"), "1 of 2 milestones")
    refused(lambda: court.referee.release("anyone", T[0]), "bound until")
    court.to(26)
    court.referee.settle("anyone", 1)
    refused(lambda: court.referee.settle("anyone", 2), "next to settle")
    court.referee.close("anyone")
    refused(lambda: court.referee.close("anyone"), "does not run")
    court.referee.release("anyone", T[0])
    assert court.job.closed == 1 and court.purse.accrued == 2 * net_of(BUDGET) and T[0] not in court.purse.locks


def test_expire_from_the_deadline_with_nothing_judged_and_nothing_owed() -> None:
    court = Court(rounds=2, milestones=2)
    court.finalise()
    refused(lambda: court.referee.expire("anyone"), "deadline has not passed")
    court.to(299)
    second = court.anchor()
    court.to(300)
    refused(lambda: court.referee.expire("anyone"), "under judgement")
    court.referee.challenge(V[0], second)
    court.to(316)
    court.referee.void_round("anyone", second)
    refused(lambda: court.referee.expire("anyone"), "settled first")
    court.referee.settle("anyone", 0)
    court.referee.expire("anyone")
    assert court.job.closed == 2 and court.purse.credit[CLIENT] == BUDGET and not court.purse.escrow
    refused(lambda: court.referee.expire("anyone"), "has ended")


def test_work_that_nobody_settled_in_four_windows_after_the_deadline_is_refunded() -> None:
    court = Court(rounds=1)
    court.finalise()
    lost = court.terms.deadline - 1_000 + 4 * court.terms.window
    court.to(lost - 1)
    refused(lambda: court.referee.expire("anyone"), "settled first")
    court.to(lost)
    refused(lambda: court.referee.settle("anyone", 0), "escrow has expired")
    court.referee.expire("anyone")
    assert court.job.closed == 2 and court.purse.credit[CLIENT] == BUDGET


def test_a_job_that_was_never_started_expires_too() -> None:
    court = Court(start=False)
    court.to(300)
    refused(lambda: court.referee.start("anyone"), "deadline")
    court.referee.expire("anyone")
    assert court.purse.credit[CLIENT] == BUDGET and court.job.phase is Phase.CLOSED


def test_fees_and_claims_are_paid_once_by_proof() -> None:
    court = Court(rounds=1)
    court.finalise()
    refused(lambda: court.payout.claim_fee(V[0], 0), "not settled")
    refused(lambda: court.payout.claim(T[0], 5, []), "settled root")
    court.to(16)
    court.referee.settle("anyone", 0)
    for name in V[:2]:
        court.payout.claim_fee(name, 0)
        refused(lambda name=name: court.payout.claim_fee(name, 0), "owes")  # type: ignore[misc]
    pot = net_of(BUDGET) // 10
    assert sum(court.purse.wallets[name] - RICH + 20_000 for name in V[:2]) == pot and court.purse.claimed == pot
    refused(lambda: court.payout.claim_fee(V[2], 0), "owes")
    refused(lambda: court.payout.claim_fee(T[0], 0), "no seat")
    refused(lambda: court.payout.claim(T[0], 5, []), "settled root")
    refused(lambda: court.payout.claim(T[0], 0, []), "claimed all")


def test_r11_shards_are_the_clients_committed_ones_and_two_thirds_accept() -> None:
    leaf = shard_leaf(CLIENT, 0, b"q" * 32, SALT)
    court = Court(rounds=1, acceptance=merkle.root([leaf, b"other" * 8]))
    proof = merkle.proof([leaf, b"other" * 8], leaf)
    court.finalise()
    refused(lambda: court.payout.open_shard(CLIENT, 0, b"q" * 32, SALT, proof), "firm")
    refused(lambda: court.payout.accept("anyone", 0, 5, []), "not open")
    court.to(16)
    refused(lambda: court.payout.open_shard("anyone", 0, b"q" * 32, SALT, proof), "by the client")
    refused(lambda: court.payout.open_shard(CLIENT, 0, b"?" * 32, SALT, proof), "did not commit")
    court.payout.open_shard(CLIENT, 0, b"q" * 32, SALT, proof)
    refused(lambda: court.payout.open_shard(CLIENT, 0, b"q" * 32, SALT, proof), "once each")
    refused(lambda: court.payout.accept("anyone", 0, 5, [(0, b"?")]), "seat 0 did not sign")

"""Planted bugs: one change of one source each, which the tests must notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`before` occurs exactly once in `file`; `money` says that the conservation test alone must notice too."""

    name: str
    file: str
    before: str
    after: str
    money: bool = False


MUTANTS = [
    Mutant("slash forgets the lock", "StakeVault.sol", "        locked[account] -= taken;\n", "", money=True),
    Mutant(
        "slash burns what it credits", "StakeVault.sol", "uint256 burned = taken - toVictim - toFinder;", "uint256 burned = taken;", True
    ),
    Mutant(
        "thaw ignores the lock", "StakeVault.sol", "uint256 free = freeOf(msg.sender);", "uint256 free = staked[msg.sender];", money=True
    ),
    Mutant("withdraw before maturity", "StakeVault.sol", " && list[done].matures <= time_", "", money=True),
    Mutant("lock without consent", "StakeVault.sol", "if (!serviceAllowed[account][msg.sender])", "if (false)"),
    Mutant(
        "expired lock released early",
        "StakeVault.sol",
        "if (time_ < until) revert LockRunning",
        "if (false) revert LockRunning",
        money=True,
    ),
    Mutant("fee burns twice", "JobMarket.sol", "        _burn(burned);\n", "        _burn(burned);\n        _burn(burned);\n", money=True),
    Mutant("treasury gets the burnt half too", "JobMarket.sol", "_credit(treasury, fee - burned);", "_credit(treasury, fee);", money=True),
    Mutant("a refund keeps the money", "JobMarket.sol", "        _credit(job.client, job.budget);\n", "", money=True),
    Mutant("bond not returned", "ledger/Rounds.sol", "        _credit(challenger, j.terms.challengeBond);\n", "", money=True),
    Mutant("lost bond stays", "ledger/Rounds.sol", "        _burn(burned);\n", "", money=True),
    Mutant(
        "challenge after the window",
        "ledger/Rounds.sol",
        "        _checkUntil(time, r.anchoredAt + j.terms.window);\n        j.roundPhase = ",
        "        j.roundPhase = ",
        money=True,
    ),
    Mutant(
        "finalise with half",
        "ledger/Rounds.sol",
        "if (n * 3 < seats * 2) revert TooFewVerdicts(n, seats);",
        "if (n * 2 < seats) revert TooFewVerdicts(n, seats);",
    ),
    Mutant(
        "finality by time against a challenge",
        "ledger/Rounds.sol",
        "            if (j.roundPhase != RoundPhase.Anchored) revert WrongRoundPhase(a.job, j.roundPhase);\n",
        "",
        True,
    ),
    Mutant(
        "finality by time before the window ends",
        "ledger/Rounds.sol",
        "            _checkFrom(time, r.anchoredAt + j.terms.window);\n",
        "",
        True,
    ),
    Mutant(
        "late proof still condemns",
        "ledger/Rounds.sol",
        "if (a.round < j.round) _checkUntil(time, r.anchoredAt + j.terms.window);",
        "",
        money=True,
    ),
    Mutant("condemning keeps the model", "ledger/Rounds.sol", "        j.model = a.base;\n", "", money=True),
    Mutant("lapse costs nothing", "ledger/Rounds.sol", "        _penalise(a.job, coordinator, LAPSE_BPS, address(0));\n", "", money=True),
    Mutant(
        "lateness pays a finder",
        "ledger/Rounds.sol",
        "_penalise(job, late, LATE_BPS, address(0));",
        "_penalise(job, late, LATE_BPS, account);",
        money=True,
    ),
    Mutant(
        "attempt numbers return",
        "ledger/Jobs.sol",
        "j.attempt = j.rounds[j.round].openings++;",
        "j.attempt = 0;",
        money=True,
    ),
    Mutant(
        "an opening that was never anchored is forgotten",
        "ledger/Jobs.sol",
        "j.attempt = j.rounds[j.round].openings++;",
        "j.attempt = j.rounds[j.round].anchoredAt == 0 ? 0 : j.rounds[j.round].attempt + 1;",
        money=True,
    ),
    Mutant(
        "a leaver is counted in later rounds",
        "ledger/Jobs.sol",
        "j.trainers = cohort.muster(job);",
        "uint16 n = cohort.muster(job);\n        if (n > j.trainers) j.trainers = n;",
        money=True,
    ),
    Mutant("a newcomer takes part at once", "Cohort.sol", "member.first <= g.openings && ", "", money=True),
    Mutant("who left still takes part", "Cohort.sol", "member.first <= g.openings && !left", "member.first <= g.openings", money=True),
    Mutant("a leaver keeps its seat", "cohort/Enrolment.sol", "        g.trainers--;\n", "", money=True),
    Mutant("a seat is given up twice", "cohort/Enrolment.sol", " || member.last != 0) revert", ") revert", money=True),
    Mutant(
        "a leaver's stake stays",
        "cohort/Enrolment.sol",
        "        emit Left(job, account);\n        emit MemberReleased(job, account, vault.release(claimOf(job, account)));\n",
        "        emit Left(job, account);\n",
        money=True,
    ),
    Mutant(
        "who left comes back",
        "cohort/Enrolment.sol",
        "if (member.role != 0) revert AlreadyEnrolled",
        "if (member.role != 0 && member.last == 0) revert AlreadyEnrolled",
        money=True,
    ),
    Mutant(
        "trainers come until the deadline",
        "cohort/Enrolment.sol",
        "return g.terms.deadline - g.terms.patience;",
        "return g.terms.deadline;",
    ),
    Mutant("a newcomer's leaving deserts a round", "cohort/Enrolment.sol", "if (member.first <= g.openings) g.leavers++;", "g.leavers++;"),
    Mutant(
        "a deserted round costs its coordinator",
        "ledger/Rounds.sol",
        "if (!deserted) _penalise(job, late",
        "_penalise(job, late",
        money=True,
    ),
    Mutant(
        "a deserted round is regrouped at once",
        "ledger/Rounds.sol",
        "        if (j.trainers >= j.terms.quorum) _checkFrom(time, j.openedAt + j.terms.patience);\n",
        "",
        money=True,
    ),
    Mutant(
        "a deserted round is taken over all the same",
        "ledger/Rounds.sol",
        "if (deserted && seated >= j.terms.quorum) revert",
        "if (false) revert",
        money=True,
    ),
    Mutant(
        "whoever sends a proof is its finder",
        "ledger/Rounds.sol",
        "_penalise(a.job, coordinator, 10_000, r.challenger);",
        "_penalise(a.job, coordinator, 10_000, r.challenger == address(0) ? msg.sender : r.challenger);",
        money=True,
    ),
    Mutant(
        "closing forgets the refund",
        "ledger/Jobs.sol",
        "if (status == JobMarket.Status.Funded) market.reject",
        "if (false) market.reject",
        money=True,
    ),
    Mutant(
        "settled before it is firm",
        "ledger/Settlement.sol",
        "        _checkFrom(time, firmFrom(job, milestone));\n",
        "        firmFrom(job, milestone);\n",
        money=True,
    ),
    Mutant("claims are not capped", "ledger/Settlement.sol", "if (claimed > j.accrued) revert", "if (false) revert"),
    Mutant("a claim is paid again", "ledger/Settlement.sol", "        j.paid[account] = cumulative;\n", "", money=True),
    Mutant("fees are paid again", "ledger/Settlement.sol", "        m.feesClaimed |= uint32(seat);\n", "", money=True),
    Mutant("fee dust is lost", "ledger/Settlement.sol", "            if (seats & (seat - 1) == 0) sum += pot % n;\n", "", money=True),
    Mutant(
        "expiry skips delivered work",
        "ledger/Settlement.sol",
        "revert MilestoneUnsettled(job, next);\n        }",
        "return;\n        }",
        money=True,
    ),
    Mutant("one seat counts twice", "cohort/Verdicts.sol", "if (seats[i] <= seats[i - 1])", "if (seats[i] < seats[i - 1])"),
    Mutant("excluded seats count", "cohort/Verdicts.sol", "if (g.members[account].out) revert", "if (false) revert", money=True),
    Mutant("fetched counts as valid", "cohort/Verdicts.sol", "if (isValid) valid++;", "valid++;", money=True),
    Mutant(
        "commitments forget the sender",
        "cohort/Enrolment.sol",
        "abi.encode(block.chainid, address(this), job, account, value, salt)",
        "abi.encode(block.chainid, address(this), job, value, salt)",
        True,
    ),
    Mutant(
        "silence about a value is free",
        "cohort/Enrolment.sol",
        "                _penalise(job, g, account, FORFEIT_BPS, address(0));\n",
        "",
        money=True,
    ),
    Mutant("members leave while the job runs", "cohort/Enrolment.sol", "revert StillBound(account);", "unseated = true;", money=True),
    Mutant("an operator needs no consent", "NodeRegistry.sol", "if (_nodes[id].proposed != msg.sender) revert", "if (false) revert"),
    Mutant(
        "an outage counts in part", "Clock.sol", "            extension += gap;\n", "            extension += gap - maxGap;\n", money=True
    ),
    Mutant("a shard opens early", "Acceptance.sol", "if (time < from) revert TooEarly(time, from);", ""),
    Mutant("a shard opens twice", "Acceptance.sol", "if (shardOf[job][k] != 0) revert", "if (false) revert"),
    Mutant("revoked models return", "ModelRegistry.sol", "if (status == Status.Revoked) revert WrongStatus(model, artifact, status);", ""),
]

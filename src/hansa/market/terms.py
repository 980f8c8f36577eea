"""The contract's bounds of a job's terms, asked before any money moves: a refusal after funding would leave the budget locked for long."""

from __future__ import annotations

from hansa.chain.bindings import structs
from hansa.core.errors import ConfigError
from hansa.core.types import ZERO_DIGEST

MAX_MILESTONES = 16
MAX_ROUNDS_PER_MILESTONE = 64
MAX_SEATS = 32
MAX_TRAINERS = 1_024
MAX_SHARE_BPS = 3_000
DAY = 86_400
MAX_PATIENCE = 30 * DAY
MAX_WINDOW = 30 * DAY
MAX_DURATION = 365 * DAY
MAX_AMOUNT = (1 << 128) - 1


def check_terms(terms: structs.Terms, now: int) -> None:
    """ConfigError names the first term that `TermsRules.check` (contracts/src/cohort/Terms.sol) would refuse at protocol time `now`."""
    if ZERO_DIGEST in (terms.spec, terms.genesis):
        raise ConfigError("the terms name no specification or no first model; publish both before posting")
    if terms.deadline <= now or terms.enrol_by <= now:
        raise ConfigError(f"deadline or end of enrolment is {now - min(terms.deadline, terms.enrol_by)} s in the past; set it later")
    _within("milestones", terms.milestones, 1, MAX_MILESTONES)
    _within("rounds", terms.rounds, terms.milestones, terms.milestones * MAX_ROUNDS_PER_MILESTONE)
    if terms.rounds % terms.milestones:
        raise ConfigError(f"{terms.rounds} rounds do not divide into {terms.milestones} milestones; each has as many rounds as the others")
    _within("the most trainers", terms.max_trainers, 1, MAX_TRAINERS)
    _within("the quorum", terms.quorum, 1, min(terms.max_trainers, 255))
    _within("seats of verifiers", terms.verifiers, 1, MAX_SEATS)
    _within("the coordinator's share in basis points", terms.coordinator_bps, 0, MAX_SHARE_BPS)
    _within("the verifiers' share in basis points", terms.verifier_bps, 0, MAX_SHARE_BPS)
    _within("patience in seconds", terms.patience, 1, MAX_PATIENCE)
    _within("the window in seconds", terms.window, 1, MAX_WINDOW)
    _within("the end of enrolment, in seconds from now,", terms.enrol_by - now, 1, MAX_DURATION)
    # Room for the reveals and for one round at least.
    _within("the deadline, in seconds from now,", terms.deadline - now, terms.enrol_by + terms.window + terms.patience - now, MAX_DURATION)
    _within("a trainer's stake", terms.trainer_stake, 0, MAX_AMOUNT)
    _within("a coordinator's stake", terms.coordinator_stake, 1, MAX_AMOUNT)
    _within("a verifier's stake", terms.verifier_stake, 1, MAX_AMOUNT)
    _within("the bond of a challenge", terms.challenge_bond, 1, MAX_AMOUNT)


def _within(what: str, given: int, least: int, most: int) -> None:
    if not least <= given <= most:
        raise ConfigError(f"{what} cannot be {given}; the contracts allow {least} to {most}")

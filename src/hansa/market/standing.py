"""A standing job: one order that is posted again and again, each time from the model that stands, when there is reason and money for it.

The child takes its parent's place only by passing acceptance, whose baseline is the parent itself, measured on the child's sealed rows.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from hansa.core.errors import ConfigError
from hansa.market.order import Order, amount


class StandingOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`order` is posted when its held table has `rows` more rows than at the last posting (0: never), or when the standing model's share of
    right answers on the `recent` newest rows has fallen by `drift` since it was accepted (0: never); and first of all when there is none.

    At most `budget` tokens are spent on postings in any `period` seconds. ConfigError when the parts contradict each other.
    """

    order: Order
    budget: str
    period: int
    rows: int = 0
    drift: float = 0.0
    recent: int = 200

    def __post_init__(self) -> None:
        if self.rows < 0 or not 0 <= self.drift < 1 or not (self.rows or self.drift):
            raise ConfigError("a standing order names what it waits for: a number of new rows, a drift between 0 and 1, or both")
        if self.recent < 1 or self.period < 1:
            raise ConfigError("drift is measured on at least one row, and a budget is for a period of at least a second")
        if amount(self.order.budget) > amount(self.budget):
            raise ConfigError(f"one job costs {self.order.budget}, which is above the {self.budget} tokens of a whole period")
        if self.order.milestones != 1:
            raise ConfigError("a standing order's job has one milestone: the one model that may take its parent's place")


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One posting's budget in the smallest unit, as decimal text, and when it was decided on, in protocol time."""

    at: int
    amount: str


class Tended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of a standing order between looks.

    `version` is the standing model's digest in hexadecimal (empty before the first), `size` its bytes, `accuracy` its share of right
    answers on the sealed rows it was accepted by, `model` its number in the registry. `rows` are those of the held table at the last
    posting. While a job is under way `word` names its posting, and `job` is its number once that is known.
    """

    model: int = 0
    version: str = ""
    size: int = 0
    accuracy: float = 0.0
    rows: int = 0
    spent: tuple[Spent, ...] = ()
    word: str = ""
    job: int = 0


class Seen(msgspec.Struct, frozen=True):
    """A look at the world: protocol time, rows of the held table, the standing model's share of right answers on the newest of them."""

    now: int
    rows: int
    accuracy: float = 0.0


class Post(msgspec.Struct, frozen=True):
    """Post the order, for this reason."""

    reason: str


class Wait(msgspec.Struct, frozen=True):
    """Do nothing, for this reason; `until` is when money may be there again, 0 when it is not money that is waited for."""

    reason: str
    until: int = 0


def decide(standing: StandingOrder, tended: Tended, seen: Seen) -> Post | Wait:
    """Whether to post now; pure, so that a restart decides the same."""
    if tended.word:
        return Wait(f"job {tended.job or '(being posted)'} is under way")
    reason = _reason(standing, tended, seen)
    if not reason:
        return Wait(f"{seen.rows - tended.rows} new rows; {seen.accuracy:.1%} right on the newest, {tended.accuracy:.1%} when accepted")
    cost, budget = amount(standing.order.budget), amount(standing.budget)
    recent = [each for each in tended.spent if each.at > seen.now - standing.period]
    if cost + sum(int(each.amount) for each in recent) > budget:
        return Wait(f"{reason}, but this period's budget is spent", recent[0].at + standing.period)
    return Post(reason)


def _reason(standing: StandingOrder, tended: Tended, seen: Seen) -> str:
    if not tended.version:
        return "there is no accepted version yet"
    fresh, lost = seen.rows - tended.rows, tended.accuracy - seen.accuracy
    if standing.rows and fresh >= standing.rows:
        return f"{fresh} new rows"
    if standing.drift and fresh > 0 and lost >= standing.drift:
        return f"{seen.accuracy:.1%} right on the newest rows, {lost:.1%} less than when it was accepted"
    return ""


def posting(standing: StandingOrder, tended: Tended, seen: Seen, word: str) -> Tended:
    """What is remembered right before a job is posted under `word`: from here on its money counts as spent."""
    kept = tuple(each for each in tended.spent if each.at > seen.now - standing.period)
    return replace(tended, word=word, job=0, rows=seen.rows, spent=(*kept, Spent(seen.now, str(amount(standing.order.budget)))))


def accepted(tended: Tended, model: int, version: str, size: int, accuracy: float) -> Tended:
    """The child has taken its parent's place."""
    return replace(tended, model=model, version=version, size=size, accuracy=accuracy, word="", job=0)


def rejected(tended: Tended) -> Tended:
    """The job ended without a better model: the parent stays."""
    return replace(tended, word="", job=0)

"""What a site declares about its table: which columns are features, how they are coded, which is the label."""

from __future__ import annotations

import math
from itertools import zip_longest

import msgspec

from hansa.core.errors import ConfigError

MAX_CATEGORIES = 4096
MAX_CONTEXT = 1 << 13


def word(cell: object) -> str:
    """A cell as text, trimmed, with one spelling per number: "4", "4.0" and 4 are the same category."""
    text = str(cell).strip()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() and abs(number) < 1 << 53 else repr(number)


def _distinct(column: str, words: tuple[str, ...]) -> None:
    spelled = {word(text) for text in words}
    if not 2 <= len(words) <= MAX_CATEGORIES or len(spelled) != len(words):
        raise ConfigError(f"column {column} needs 2 to {MAX_CATEGORIES} different values, each listed once (4 and 4.0 are the same)")


class Numeric(msgspec.Struct, frozen=True, tag="numeric", forbid_unknown_fields=True):
    """A column of finite numbers; `width` values per row when an NPZ array holds vectors or images, 1 in tables."""

    name: str
    width: int = 1

    def __post_init__(self) -> None:
        if self.width < 1:
            raise ConfigError(f"column {self.name} has width {self.width}; give at least 1")


class Categorical(msgspec.Struct, frozen=True, tag="categorical", forbid_unknown_fields=True):
    """A column of named values, coded one-hot without the first category (which all zeros then mean); every site declares the same list."""

    name: str
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        _distinct(self.name, self.categories)

    @property
    def width(self) -> int:
        return len(self.categories) - 1


class Tokens(msgspec.Struct, frozen=True, tag="tokens", forbid_unknown_fields=True):
    """A whole text in place of a table: rows of `context` + 1 bytes, each a token, one every `stride` bytes (0: every `context` bytes)."""

    name: str
    context: int
    stride: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.context <= MAX_CONTEXT or not 0 <= self.stride <= MAX_CONTEXT:
            raise ConfigError(
                f"text {self.name} is cut by {self.context} and {self.stride}; a context is 1 to {MAX_CONTEXT}, a stride at most that"
            )

    @property
    def width(self) -> int:
        return self.context + 1


class Schema(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Features in order, the label's column and its values' classes (none: the label is a number); or one text, whose next byte is learnt.

    `header` names the columns of a CSV that has no header line. Cells that read like one of `missing` are absent values; rows with one are
    refused, or left out when `drop_missing`. A site with one class only is refused unless `allow_one_class`. ConfigError when the
    declaration contradicts itself.
    """

    features: tuple[Numeric | Categorical | Tokens, ...]
    label: str = ""
    classes: dict[str, int] = {}
    header: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    drop_missing: bool = False
    allow_one_class: bool = False

    def __post_init__(self) -> None:
        if any(isinstance(column, Tokens) for column in self.features):
            if len(self.features) > 1 or self.label or self.classes or self.header or self.missing:
                raise ConfigError("a text is the only feature and has no label, classes, header or missing values; declare it alone")
            return
        names = [column.name for column in self.features]
        if not names or not self.label or len({*names, self.label}) != len(names) + 1:
            raise ConfigError("the schema needs at least one feature and a label, and every column, the label's too, once")
        if len(set(self.header)) != len(self.header) or (self.header and not {*names, self.label} <= set(self.header)):
            raise ConfigError("the schema's header must name every column of the file once, features and label among them")
        if self.classes:
            _distinct(self.label, tuple(self.classes))
            if set(self.classes.values()) != set(range(max(self.classes.values()) + 1)) or len(set(self.classes.values())) < 2:
                raise ConfigError("the label's classes must be numbered 0, 1, ... without gaps, at least two of them")
        if any(math.isfinite(_number(text)) for text in self.missing):
            raise ConfigError("a number cannot stand for a missing value; it would be indistinguishable from a measured one")

    @property
    def text(self) -> Tokens | None:
        """How a text is cut, where the schema is one's and not a table's."""
        first = self.features[0]
        return first if isinstance(first, Tokens) else None

    def difference(self, other: Schema) -> str | None:
        """The first column that the other declaration lacks, has besides or codes otherwise; None when the rows of both mean the same."""
        for ours, theirs in zip_longest(self.features, other.features):
            if ours != theirs:
                return str((ours or theirs).name)
        return None if (self.label, self.classes) == (other.label, other.classes) else self.label or other.label

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns that are read from a table, the label's last."""
        return (*(column.name for column in self.features), self.label)

    @property
    def width(self) -> int:
        """Number of features after coding: what the model's `inputs` must be."""
        return sum(column.width for column in self.features)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

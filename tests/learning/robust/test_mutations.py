"""Planted bugs: one change of one source each; each makes a rule differ from its plain definition, or one path from the other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest

import hansa
from hansa.core.errors import ProtocolError
from hansa.learning.robust import AnyRule, Krum, Mean, MultiKrum, NearestNeighbourMixing
from tests.learning.robust import oracles
from tests.learning.robust.cases import extreme, normal, offset, rules

ROOT = Path(hansa.__file__).parent
PREFIXES = ("hansa.learning.robust", "hansa.model.sums", "hansa.model.compiled")


class Mutant(NamedTuple):
    """`before` occurs exactly once in `module`."""

    name: str
    module: str
    before: str
    after: str


ROBUST = "learning.robust."
MUTANTS = [
    Mutant("one neighbour more", ROBUST + "krum", "near = len(distances) - f - 2", "near = len(distances) - f - 1"),
    Mutant("one neighbour less", ROBUST + "krum", "near = len(distances) - f - 2", "near = len(distances) - f - 3"),
    Mutant("a row is its own neighbour", ROBUST + "krum", "row[:i] + row[i + 1 :]", "row"),
    Mutant("the last of equal scores wins", ROBUST + "krum", "sorted(range(len(score)),", "sorted(range(len(score))[::-1],"),
    Mutant("multi-krum averages one less", ROBUST + "krum", "self.m or mixture.size - self.f", "self.m or mixture.size - self.f - 1"),
    Mutant(
        "bulyan picks at once", ROBUST + "bulyan", "            del others[bisect_left(others, distances[i][best])]", "            pass"
    ),
    Mutant("bulyan keeps its neighbours", ROBUST + "bulyan", "len(left) - f - 2", "len(distances) - f - 2"),
    Mutant("bulyan trims too little", ROBUST + "bulyan", "near = mixture.size - 4 * self.f", "near = mixture.size - 3 * self.f"),
    Mutant("nearest on a tie takes the larger", ROBUST + "ranks", "lost + gained < middle", "lost + gained <= middle"),
    Mutant("nearest on a tie takes the larger, compiled", ROBUST + "ranks", 'icmp_signed("<"', 'icmp_signed("<="'),
    Mutant("the wrong middle", ROBUST + "ranks", "wide[(count - 1) // 2], wide[count // 2]", "wide[count // 2], wide[count // 2]"),
    Mutant("16 bits sum in 16", ROBUST + "ranks", "middle = 32 if bits == 16 else 64", "middle = bits"),
    Mutant("an even median takes one middle", ROBUST + "median", "mixture.size // 2 + 1)", "(mixture.size - 1) // 2 + 1)"),
    Mutant("an even median halves first", ROBUST + "median", "rank_sum(rows, middle, long)", "rank_sum(rows, middle, long) // 2 * 2"),
    Mutant("cut one more at the top", ROBUST + "trimmed_mean", "mixture.size - self.f)", "mixture.size - self.f - 1)"),
    Mutant("network drops a comparator", ROBUST + "network", "i + stride < wires)", "i + stride < wires - 1)"),
    Mutant("network forgets a wire", ROBUST + "network", "needed |= {i, j}", "needed |= {i}"),
    Mutant(
        "mixing without the row itself", ROBUST + "preaggregation", "key=row.__getitem__)[:count]", "key=row.__getitem__)[1 : count + 1]"
    ),
    Mutant(
        "mixing prefers the last",
        ROBUST + "preaggregation",
        "sorted(range(mixture.size), key=row",
        "sorted(range(mixture.size)[::-1], key=row",
    ),
    Mutant("mixing takes one less", ROBUST + "preaggregation", "count = mixture.size - self.f", "count = mixture.size - self.f - 1"),
    Mutant("small bucket counts as full", ROBUST + "preaggregation", "first * last // len(bucket)", "first"),
    Mutant("buckets without the seed", ROBUST + "preaggregation", "\\n{seed}\\n{i}", "\\n{i}"),
    Mutant("clips one row less", ROBUST + "preaggregation", "reverse=True)[clipped]", "reverse=True)[clipped - 1]"),
    Mutant("clips by squares", ROBUST + "preaggregation", "isqrt((bound << 2 * FINE) // square)", "(bound << FINE) // square"),
    Mutant("distances add the product", ROBUST + "gram", "- 2 * each", "- each"),
    Mutant("32 bits forget the cross terms", ROBUST + "gram", "(cross + cross.T)", "(cross + cross)"),
    Mutant("32 bits forget the constant", ROBUST + "gram", " + (columns << 30)", ""),
    Mutant("low byte is signed", ROBUST + "gram", "body.splat(short, 255)", "body.splat(short, 127)"),
    Mutant("blocks start at zero", ROBUST + "gram", "build.mul(start, body.number(2))", "build.mul(start, body.number(0))"),
    Mutant("lanes sum for too long", ROBUST + "gram", "_STEPS = 64", "_STEPS = 1024"),
    Mutant("tiles miss a corner", ROBUST + "gram", "if j < i + _TALL]", "if j < i]"),
    Mutant("weights of a mixture are forgotten", ROBUST + "mixture", "total * self.scale)", "total)"),
    Mutant("a mixture of a mixture forgets the first", ROBUST + "mixture", "else outer @ self._weights", "else outer"),
    Mutant("mixed rows in too few bits", ROBUST + "mixture", "32 if bound < 1 << 31 else 64", "32"),
    Mutant("smoothing forgets the scale", ROBUST + "geometric_median", "step = total * mixture.scale", "step = total << 34"),
    Mutant("weiszfeld weighs by distance", ROBUST + "geometric_median", "longest // length", "length"),
    Mutant("clipping from the mean", ROBUST + "clipping", "kept = total - sum(factors)", "kept = total"),
    Mutant("clipping forgets the scale", ROBUST + "clipping", "self.bound * mixture.scale * total", "self.bound * total"),
    Mutant(
        "sums skip a row",
        "model.sums",
        "for row, weight in zip(rows, weights, strict=True)",
        "for row, weight in list(zip(rows, weights))[1:]",
    ),
    Mutant("compiled sums forget the weight", "model.sums", "build.mul(values, factor)", "values"),
    Mutant("rows of a mixture pile up", "model.sums", "body.assign(total, body.value(common))", "body.add_to(total, body.value(common))"),
    Mutant(
        "the commonest weight is dropped",
        "model.sums",
        "lists = [common, *(weights - common)]",
        "lists = [common * 0, *(weights - common)]",
    ),
]


class Planted(MetaPathFinder):
    """Imports one module from its source with the change in it."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = "hansa." + mutant.module
        path = ROOT / (mutant.module.replace(".", "/") + ".py")
        source = path.read_text()
        if source.count(mutant.before) != 1:
            raise LookupError(f"{mutant.name}: {mutant.before!r} is {source.count(mutant.before)} times in {path.name}")
        self.loader = SourceFileLoader(self.name, str(path))
        self.loader.get_code = lambda name: compile(source.replace(mutant.before, mutant.after), str(path), "exec")  # type: ignore[method-assign]

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        return spec_from_loader(fullname, self.loader) if fullname == self.name else None


@contextmanager
def fresh(mutant: Mutant | None) -> Iterator[Any]:
    """The package imported anew, with a bug in it or without; what was imported before comes back."""
    kept = {name: module for name, module in sys.modules.items() if name.startswith(PREFIXES)}
    finders = [Planted(mutant)] if mutant else []
    for name in kept:
        del sys.modules[name]
    sys.meta_path[:0] = finders
    try:
        yield importlib.import_module("hansa.learning.robust")
    finally:
        del sys.meta_path[: len(finders)]
        for name in [name for name in sys.modules if name.startswith(PREFIXES)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in kept.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)


SMALL = [
    *(make(rows, 6, kind) for make in (normal, extreme) for kind in (np.int16, np.int32) for rows in (11, 13)),
    np.array([[0, 0], [5, 0], [10, 0], [0, 0], [5, 1], [10, 1], [4, 0], [6, 0], [5, 9], [1, 1], [9, 1]], np.int16),
    np.repeat(10 * np.arange(12, dtype=np.int16)[:, None], 2, axis=1),
]
WIDE = [normal(12, 130, np.int16), extreme(11, 130, np.int32)]
LONG = [offset(11, 40_000, np.int16)]
HIGHEST = np.full((2, 40_000), 32767, np.int16)
RULES = rules(2)
DISTANCES = [Krum(2), MultiKrum(2), NearestNeighbourMixing(2, Mean())]
SEED = 3


@cache
def truths() -> list[list[list[Any]]]:
    return [[list(oracles.answer(rule, oracles.exact(matrix), SEED)) for rule in RULES] for matrix in SMALL]


def counterpart(package: Any, rule: AnyRule) -> Any:
    """The same rule in the planted package."""
    return msgspec.json.decode(msgspec.json.encode(rule), type=package.AnyRule)


def off(combined: Any, rule: AnyRule, truth: list[Any], kind: np.dtype[Any]) -> bool:
    """Whether a result is not what the definition says, to the rule's own rounding."""
    found = oracles.value(combined)
    if oracles.is_exact(rule):
        return found != truth
    return max(abs(float(a) - float(b)) for a, b in zip(found, truth, strict=True)) > np.iinfo(kind).max * 2.0**-17


def caught(package: Any) -> bool:
    """Whether some rule is off its definition, or its two paths differ."""
    compiled, gram = sys.modules["hansa.model.compiled"], sys.modules["hansa.learning.robust.gram"].gram

    def results(rule: Any, matrix: np.ndarray, long: int) -> tuple[object, ...]:
        compiled.LONG = long  # type: ignore[attr-defined]
        combined = rule.apply(matrix, SEED)
        return combined.values.tolist(), combined.weight, combined.count, combined.left_out

    try:
        for matrix in SMALL:
            if gram(matrix) != [[sum(map(int.__mul__, a, b)) for b in matrix.tolist()] for a in matrix.tolist()]:
                return True
        for long in (0, 1 << 62):
            compiled.LONG = long  # type: ignore[attr-defined]
            if gram(HIGHEST) != [[32767**2 * HIGHEST.shape[1]] * 2] * 2:
                return True
        for matrix, answers in zip(SMALL, truths(), strict=True):
            for rule, truth in zip(RULES, answers, strict=True):
                if off(counterpart(package, rule).apply(matrix, SEED), rule, truth, matrix.dtype):
                    return True
        for matrices, chosen in ((LONG, DISTANCES), (WIDE, RULES)):
            for matrix in matrices:
                for each in chosen:
                    rule = counterpart(package, each)
                    if results(rule, matrix, 0) != results(rule, matrix, 1 << 62):
                        return True
    except (ArithmeticError, LookupError, ValueError, RuntimeWarning, ProtocolError):
        return True
    return False


def test_the_package_as_it_is_passes() -> None:
    with fresh(None) as package:
        assert not caught(package)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name for mutant in MUTANTS])
def test_a_planted_bug_is_caught(mutant: Mutant) -> None:
    with fresh(mutant) as package:
        assert caught(package)

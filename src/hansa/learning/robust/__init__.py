"""Robust aggregation on integers: exact, the same bits for everybody, and safe against a declared number of bad rows."""

from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.rule import Combined, Rule
from hansa.learning.robust.trimmed_mean import TrimmedMean

__all__ = ["Combined", "Krum", "Mean", "Median", "MultiKrum", "Rule", "TrimmedMean"]

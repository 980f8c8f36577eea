"""Robust aggregation on integers: exact, the same bits for everybody, and safe against a declared number of bad rows."""

from hansa.learning.robust.bulyan import Bulyan
from hansa.learning.robust.clipping import CentredClipping, NormClipping
from hansa.learning.robust.geometric_median import GeometricMedian
from hansa.learning.robust.intake import Intake, Malformed, remaining
from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.preaggregation import AdaptiveClipping, AnyRule, Bucketing, NearestNeighbourMixing
from hansa.learning.robust.rule import Combined, Rule
from hansa.learning.robust.trimmed_mean import TrimmedMean

__all__ = [
    "AdaptiveClipping",
    "AnyRule",
    "Bucketing",
    "Bulyan",
    "CentredClipping",
    "Combined",
    "GeometricMedian",
    "Intake",
    "Krum",
    "Malformed",
    "Mean",
    "Median",
    "MultiKrum",
    "NearestNeighbourMixing",
    "NormClipping",
    "Rule",
    "TrimmedMean",
    "remaining",
]

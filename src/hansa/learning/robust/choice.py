"""What a job's spec may name as its rule."""

from __future__ import annotations

from hansa.learning.robust.krum import Krum, MultiKrum
from hansa.learning.robust.mean import Mean
from hansa.learning.robust.median import Median
from hansa.learning.robust.trimmed_mean import TrimmedMean

AnyRule = Mean | Median | TrimmedMean | Krum | MultiKrum

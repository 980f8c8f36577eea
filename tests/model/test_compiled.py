import subprocess
import sys

import numpy as np
import pytest

from hansa.model import compiled
from hansa.model.compiled import Body, addresses, vector_bytes

SMALL = """
import sys
import numpy as np
from hansa.learning.robust import Bulyan, GeometricMedian, NearestNeighbourMixing, TrimmedMean
rows = np.arange(11 * 300, dtype=np.int16).reshape(11, 300)
for rule in (Bulyan(2), GeometricMedian(2, 3), NearestNeighbourMixing(2, TrimmedMean(2))):
    rule.apply(rows)
print(sorted({"llvmlite", "numba", "torch"} & set(sys.modules)))
"""


def test_a_process_that_sees_no_long_vector_loads_no_compiler() -> None:
    ran = subprocess.run([sys.executable, "-c", SMALL], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_kernels_begin_where_vectors_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiled.worth_compiling(compiled.LONG) and not compiled.worth_compiling(compiled.LONG - 1)


@pytest.mark.parametrize("count", [0, 8, 64])
def test_a_kernel_does_what_its_statements_say(count: int) -> None:
    def write(body: Body) -> None:
        source, stop, target = body.arguments
        kind = body.vector(64, 8)
        with body.loop(stop, step=8) as place:
            values = body.load(kind, source, place, 8)
            body.store(body.call("smax", values, body.splat(kind, 3)), target, place, 8)

    source, target = np.arange(count, dtype=np.int64), np.full(count + 8, -1)
    compiled.compiled(3, write)(*addresses([source]).tolist(), count, *addresses([target]).tolist())
    assert target.tolist() == [max(3, value) for value in range(count)] + [-1] * 8


def test_loops_nest_and_variables_keep_their_values() -> None:
    def write(body: Body) -> None:
        outer, out = body.arguments
        total = body.variable(body.number(0))
        with body.loop(outer) as i, body.loop(body.number(10), start=i, step=3):
            body.add_to(total, body.number(1))
        body.store(body.value(total), out, body.number(0), 8)

    out = np.zeros(1, np.int64)
    compiled.compiled(2, write)(5, out.ctypes.data)
    assert out[0] == sum(len(range(i, 10, 3)) for i in range(5))


def test_vectors_have_a_width_of_this_machine() -> None:
    assert vector_bytes() in (16, 32, 64)

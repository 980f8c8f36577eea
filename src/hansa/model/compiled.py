"""Integer loops compiled to machine code while the program runs: for vectors so long that numpy's passes over memory cost too much.

A kernel is a function of 64-bit integers only: addresses of arrays, counts and strides. It is built from generic vector instructions,
so that it exists wherever LLVM does, and computes with integers alone, so that its result does not depend on the machine (R12).
llvmlite is imported by the first kernel: a process that never sees a long vector never loads it. Nothing is kept on disk.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Kernel = Callable[..., None]

# Measured with 20 rows of int16, in CPU time: loading the compiler and building a kernel takes 30 to 120 ms, once. At 2^21 values in all
# numpy needs 1.1 ms for the mean, 4.9 for the median, 2.8 for Krum and 63 for mixing before the trimmed mean, kernels 0.15, 0.11, 0.5 and
# 2.6. So a median of that size is worth its kernel after some twenty rounds; for a tenth of it hundreds would be needed.
LONG = 1 << 21
"""Values, over all rows, from which a kernel is used."""


def worth_compiling(values: int) -> bool:
    """Whether so many values are enough to use kernels for."""
    return values >= LONG


class Body:
    """The inside of a kernel while it is written: its arguments, and the few kinds of statement that kernels are made of."""

    def __init__(self, builder: Any) -> None:
        from llvmlite import ir

        self.builder = builder
        self.arguments: list[Any] = list(builder.function.args)
        self._ir: Any = ir
        self._integer = ir.IntType(64)

    def number(self, value: int) -> Any:
        """A constant of 64 bits."""
        return self._integer(value)

    def vector(self, bits: int, lanes: int) -> Any:
        """The type of `lanes` integers of `bits` bits."""
        return self._ir.VectorType(self._ir.IntType(bits), lanes)

    def splat(self, kind: Any, value: int) -> Any:
        """A vector with the same constant in every lane."""
        return self._ir.Constant(kind, [value] * kind.count)

    def spread(self, kind: Any, value: Any) -> Any:
        """A vector with the same number, known only when the kernel runs, in every lane."""
        first = self.builder.insert_element(self._ir.Constant(kind, self._ir.Undefined), value, self._ir.IntType(32)(0))
        return self._shuffled(first, [0] * kind.count)

    def every_second(self, vector: Any, start: int) -> Any:
        """Lanes start, start + 2, start + 4, ... of a vector."""
        return self._shuffled(vector, list(range(start, vector.type.count, 2)))

    def _shuffled(self, vector: Any, lanes: list[int]) -> Any:
        return self.builder.shuffle_vector(vector, vector, self._ir.Constant(self.vector(32, len(lanes)), lanes))

    def load(self, kind: Any, base: Any, offset: Any, width: int) -> Any:
        """The value of type `kind` at `offset` elements of `width` bytes after the address `base`."""
        return self.builder.load(self._place(base, offset, width), align=width, typ=kind)

    def integer(self, base: Any, offset: Any) -> Any:
        """The 64-bit integer at `offset` in the array at the address `base`."""
        return self.load(self._integer, base, offset, 8)

    def store(self, value: Any, base: Any, offset: Any, width: int) -> None:
        self.builder.store(value, self._place(base, offset, width), align=width)

    def _place(self, base: Any, offset: Any, width: int) -> Any:
        address = self.builder.add(base, self.builder.mul(offset, self.number(width)))
        return self.builder.inttoptr(address, self._ir.PointerType())

    def call(self, name: str, *values: Any) -> Any:
        """An LLVM intrinsic from vectors to a vector of the same type, such as "smin"."""
        return self._intrinsic(name, values[0].type, values)

    def total(self, vector: Any) -> Any:
        """The sum of a vector's lanes."""
        return self._intrinsic("vector.reduce.add", vector.type.element, [vector])

    def _intrinsic(self, name: str, result: Any, values: Sequence[Any]) -> Any:
        kind, module = values[0].type, self.builder.module
        full = f"llvm.{name}.v{kind.count}i{kind.element.width}"
        declared = module.globals.get(full)
        if declared is None:
            declared = self._ir.Function(module, self._ir.FunctionType(result, [kind] * len(values)), full)
        return self.builder.call(declared, values)

    def variable(self, initial: Any) -> Any:
        """A place for a value that a loop changes; LLVM keeps it in a register where it can."""
        with self.builder.goto_entry_block():
            place = self.builder.alloca(initial.type)
        self.builder.store(initial, place)
        return place

    def value(self, place: Any) -> Any:
        return self.builder.load(place, typ=place.allocated_type)

    def assign(self, place: Any, value: Any) -> None:
        self.builder.store(value, place)

    def add_to(self, place: Any, term: Any) -> None:
        self.assign(place, self.builder.add(self.value(place), term))

    @contextmanager
    def loop(self, stop: Any, start: Any = None, step: int = 1) -> Iterator[Any]:
        """The statements inside run for start (0), start + step, ... below `stop`; yields that number."""
        counter = self.variable(self.number(0) if start is None else start)
        head, inside, after = (self.builder.append_basic_block(name) for name in ("head", "inside", "after"))
        self.builder.branch(head)
        self.builder.position_at_end(head)
        index = self.value(counter)
        self.builder.cbranch(self.builder.icmp_signed("<", index, stop), inside, after)
        self.builder.position_at_end(inside)
        yield index
        self.assign(counter, self.builder.add(index, self.number(step)))
        self.builder.branch(head)
        self.builder.position_at_end(after)


@cache
def vector_bytes() -> int:
    """The width of this machine's widest integer vectors: 64, 32 or 16 bytes; it decides speed only, never a result."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return 64 if features.get("avx512bw") else 32 if features.get("avx2") else 16


def compiled(arguments: int, write: Callable[[Body], None]) -> Kernel:
    """The kernel whose statements `write` writes; it takes `arguments` integers and returns nothing."""
    import llvmlite.binding as llvm
    from llvmlite import ir

    module = ir.Module()
    module.triple = llvm.get_default_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * arguments), "kernel")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    write(Body(builder))
    builder.ret_void()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The engine owns the machine it is made with and frees it with itself: every kernel has one of its own.
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3, jit=True
    )
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes.getModulePassManager().run(parsed, passes)
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * arguments)(engine.get_function_address("kernel"))

    def kernel(*values: int, _engine: Any = engine) -> None:
        call(*values)

    return kernel


def addresses(rows: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Where each row's first value lies, for a kernel; the rows must outlive the call."""
    return np.array([row.ctypes.data for row in rows], np.int64)

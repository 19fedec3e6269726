r"""A few rows of a product, J columns of it at a time, in registers: the one place where we write LLVM's own language.

    y_rj += sum_k x_rk P_kj,   r < R, j < J                             (1)

Shapes: x [R,K]; P [K,J], contiguous; y [R,J]. J is VECTORS registers of numbers.

A step of k reads J numbers of P and one of each row, and has R J multiplications for them: of four rows by four
registers, sixteen registers of sums, which leave the processor when k is through. LLVM's loop vectoriser does not find
this from loops over arrays (tried: a third of the speed and less), so the vectors are named here. What fits depends on
how many registers there are and how wide: 32 of 64 bytes with AVX-512, 16 of 32 with AVX, 16 bytes on any processor.
Measured with AVX-512 only.

Every sum is in the order of k, whatever R is: a row has the same bits in whatever company it is multiplied.

Proved by parity_tests/test_product.py.
"""

from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from lstm_ref.core.jit import FASTMATH

ROWS = 4  # R, where there are so many


def registers(features: Mapping[str, bool]) -> tuple[int, int]:
    """Bytes of a register of a processor with these features, and VECTORS, how many of them a row of y has."""
    if features.get("avx512f"):
        return 64, 4
    return (32 if features.get("avx") else 16), 2


REGISTER_BYTES, VECTORS = registers(llvmlite.binding.get_host_cpu_features())


def columns(dtype: np.dtype) -> int:
    """J."""
    return VECTORS * REGISTER_BYTES // dtype.itemsize


def tile_of(rows: int) -> Callable[..., None]:
    """For kernels, (1) of exactly so many rows: tile(x, panel, out)."""

    def tile(x, panel, out):
        # Uncompiled: in the same order, and with the shapes that the compiled form takes for granted.
        assert x.shape == (rows, len(panel))
        assert out.shape == (rows, panel.shape[1])
        sums = np.zeros_like(out)
        for k in range(len(panel)):
            sums += x[:, k : k + 1] * panel[k]
        out += sums

    @intrinsic
    def written(typing_context, x, panel, out) -> Any:
        def write(context, builder, signature, arguments):
            arrays = [context.make_array(kind)(context, builder, a) for kind, a in zip(signature.args, arguments)]
            _Writer(context, builder, x.dtype, rows).write(*arrays)
            return context.get_dummy_value()

        return types.void(x, panel, out), write

    @overload(tile)
    def _typed_tile(x, panel, out):
        return lambda x, panel, out: written(x, panel, out)  # type: ignore[call-arg]  # numba gives the first

    return tile


class _Writer:
    """Writes (1) for R rows where `builder` stands. A phi node is a variable: its value is that of the loop's last
    round, or what it begins with."""

    def __init__(self, context: Any, builder: Any, dtype: types.Type, rows: int):
        self.builder, self.rows = builder, range(rows)
        self.number, self.index = context.get_value_type(dtype), context.get_value_type(types.intp)
        self.bytes = context.get_abi_sizeof(self.number)
        self.lanes = REGISTER_BYTES // self.bytes
        self.vector = ir.VectorType(self.number, self.lanes)

    def write(self, x: Any, panel: Any, out: Any) -> None:
        builder, steps = self.builder, self.builder.extract_value(x.shape, 1)
        x_rows, before = [self._row(x, r) for r in self.rows], builder.block
        body, after = builder.append_basic_block("k"), builder.append_basic_block("sums")
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.phi(self.index)
        sums = [[builder.phi(self.vector) for _ in range(VECTORS)] for _ in self.rows]
        next_k, next_sums = builder.add(k, self.index(1)), self._add_products(k, x_rows, panel, sums)
        builder.cbranch(builder.icmp_signed("<", next_k, steps), body, after)
        zero = ir.Constant(self.vector, None)
        variables = [(k, self.index(0), next_k)]
        variables += [(s, zero, n) for pair in zip(sums, next_sums) for s, n in zip(*pair)]
        for variable, first, following in variables:
            variable.add_incoming(first, before)
            variable.add_incoming(following, body)
        builder.position_at_end(after)
        for r, of_row in enumerate(next_sums):
            for value, place in zip(of_row, self._vectors(self._row(out, r))):
                standing = builder.load(place, align=self.bytes)
                builder.store(builder.fadd(standing, value), place, align=self.bytes)

    def _add_products(self, k: Any, x_rows: list[Any], panel: Any, sums: list[list[Any]]) -> list[list[Any]]:
        """The sums with x_rk P_kj added: a multiplication and an addition that FASTMATH lets become one."""
        builder, flags = self.builder, tuple(FASTMATH)
        P_k = builder.gep(panel.data, [builder.mul(k, self.index(VECTORS * self.lanes))])
        P_k = [builder.load(place, align=self.bytes) for place in self._vectors(P_k)]
        found = []
        for row, of_row in zip(x_rows, sums):
            x_rk = self._broadcast(builder.load(builder.gep(row, [k])))
            found.append([builder.fadd(s, builder.fmul(x_rk, P_kv, flags), flags) for s, P_kv in zip(of_row, P_k)])
        return found

    def _row(self, array: Any, r: int) -> Any:
        """A pointer to row r, whose numbers stand side by side."""
        builder, stride = self.builder, self.builder.extract_value(array.strides, 0)
        begin = builder.bitcast(array.data, ir.IntType(8).as_pointer())
        return builder.bitcast(builder.gep(begin, [builder.mul(stride, self.index(r))]), self.number.as_pointer())

    def _vectors(self, pointer: Any) -> list[Any]:
        """Pointers to the VECTORS that begin there."""
        places = [self.builder.gep(pointer, [self.index(v * self.lanes)]) for v in range(VECTORS)]
        return [self.builder.bitcast(place, self.vector.as_pointer()) for place in places]

    def _broadcast(self, value: Any) -> Any:
        first = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), value, ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None)  # element 0 for all
        return self.builder.shuffle_vector(first, ir.Constant(self.vector, ir.Undefined), everywhere)

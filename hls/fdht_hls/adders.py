"""Products with constants as graphs of shifts and adders, found by da4ml.

A graph computes values x kernel exactly: sums that several outputs need are made once (distributed
arithmetic). Every node is a sum or difference of two shifted nodes and is sized from its bounds, so
that no bit is lost and none is kept in vain.

The first use in an environment lets numba compile da4ml's solver, which takes a minute or more;
the result is kept beside da4ml. What da4ml takes grows with the square of a kernel's size, so that
large kernels are refused: `MOST_ADDER_WEIGHTS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from fdht_hls.schedule import MOST_ADDER_WEIGHTS
from fdht_hls.solver import Part, Solution, solve
from fdht_models.errors import ConversionError, ToolError
from fdht_models.tensor.fixedpoint import Codes, FixedPoint, signed_bits

#: Adders between two registers, as in the study behind this project.
ADDERS_A_CLOCK = 2
_REMEDY = "use constant weights"


@dataclass(frozen=True)
class Term:
    """A node, shifted to the left."""

    node: int
    shift: int


@dataclass(frozen=True)
class Node:
    """A value of the graph: an input, or first +- second.

    Args:
        low: least value.
        high: greatest value.
        level: adders on the longest way to it.
        input: number of the input; None if it is a sum.
        first: summand.
        second: summand, subtracted if `subtract`.
        subtract: see there.
    """

    low: int
    high: int
    level: int
    input: int | None = None
    first: Term | None = None
    second: Term | None = None
    subtract: bool = False

    @property
    def width(self) -> int:
        """Bits as a signed number."""
        return signed_bits(max(-self.low - 1, self.high))


@dataclass(frozen=True)
class Output:
    """An output: a shifted node, or minus that; None is zero."""

    term: Term | None
    negative: bool = False


@dataclass(frozen=True)
class AdderGraph:
    """values x kernel without multipliers.

    Args:
        nodes: inputs and sums; each only of nodes before it.
        outputs: in the order of the kernel's columns.
        cost: LUTs by da4ml: the bits of all adders.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    cost: int

    @property
    def adders(self) -> int:
        """Adders and subtractors."""
        return sum(node.input is None for node in self.nodes)

    @cached_property
    def clocks(self) -> int:
        """Clocks with a register behind every `ADDERS_A_CLOCK` adders."""
        return -(-max((node.level for node in self.nodes), default=0) // ADDERS_A_CLOCK)

    @cached_property
    def register_bits(self) -> int:
        """Flip-flops of those registers: a value is kept until its last use."""
        last = [clock_of(node) for node in self.nodes]
        for node in self.nodes:
            for term in (node.first, node.second):
                if term is not None:
                    last[term.node] = max(last[term.node], clock_of(node))
        for output in self.outputs:
            if output.term is not None:
                last[output.term.node] = self.clocks
        return sum(
            node.width * (until - clock_of(node))
            for node, until in zip(self.nodes, last, strict=True)
        )

    def working_width(self, node: Node) -> int:
        """Bits in which neither the sum of a node nor its shifted summands lose any."""
        parts = [self.nodes[term.node].width + term.shift for term in _terms(node)]
        return max(node.width, *parts)

    def evaluate(self, values: Codes) -> Codes:
        """Values [count, inputs] -> [count, outputs], as the hardware computes them."""
        found: list[Any] = []
        for node in self.nodes:
            if node.input is not None:
                found.append(values[:, node.input].astype(np.int64))
                continue
            first, second = (found[term.node] << term.shift for term in _terms(node))
            found.append(first - second if node.subtract else first + second)
        columns = []
        for output in self.outputs:
            zero = np.zeros(len(values), np.int64)
            value = zero if output.term is None else found[output.term.node] << output.term.shift
            columns.append(-value if output.negative else value)
        return np.stack(columns, axis=1)


def clock_of(node: Node) -> int:
    """Registers before the adder of a node: the clock, from 0, in which it is computed."""
    return max(0, node.level - 1) // ADDERS_A_CLOCK


def _terms(node: Node) -> tuple[Term, Term]:
    assert node.first is not None and node.second is not None
    return node.first, node.second


def adder_graph(kernel: Codes, source: FixedPoint) -> AdderGraph:
    """The graph of a constant kernel; the same one for the same kernel.

    Args:
        kernel: codes [inputs, outputs].
        source: format of the inputs.

    Raises:
        ConversionError: what da4ml found does not compute the kernel, or it is too large.
        ToolError: da4ml is not installed, takes too long or too much memory, or fails.
    """
    codes = np.ascontiguousarray(kernel, np.int64)
    if codes.size > MOST_ADDER_WEIGHTS:
        raise ConversionError(
            f"adders are made for at most {MOST_ADDER_WEIGHTS:,} weights",
            field="kernel",
            value=codes.shape,
            remedy=_REMEDY,
        )
    if not adders_available():
        raise ToolError(
            "is needed for adders", field="da4ml", remedy=f"pip install 'fdht[hls]', or {_REMEDY}"
        )
    found = _solved(codes.tobytes(), codes.shape, source)
    if isinstance(found, ToolError):
        raise found
    return found


@lru_cache(maxsize=64)
def _solved(content: bytes, shape: tuple[int, int], source: FixedPoint) -> AdderGraph | ToolError:
    """The graph; or what went wrong, so that nobody waits for it twice."""
    kernel = np.frombuffer(content, np.int64).reshape(shape)
    if not kernel.any():
        return AdderGraph((), (Output(None),) * shape[1], 0)
    try:
        found = solve(kernel, source)
    except ToolError as error:
        return error
    graph = _Builder(source).graph(found, shape[0])
    if not np.array_equal(graph.evaluate(np.eye(shape[0], dtype=np.int64)), kernel):
        raise ConversionError(
            "gave adders that compute another kernel", field="da4ml", remedy=_REMEDY
        )
    return graph


def adders_available() -> bool:
    """Is da4ml installed?"""
    return importlib.util.find_spec("da4ml") is not None


class _Builder:
    """Our graph from da4ml's, which is two graphs in a row over fixed-point numbers.

    A number there is a node here times a power of two, so that all nodes are integers and all
    shifts go to the left.
    """

    def __init__(self, source: FixedPoint) -> None:
        self._source = source
        self._nodes: list[Node] = []

    def graph(self, found: Solution, inputs: int) -> AdderGraph:
        """All of it."""
        # (node, exponent, negative) of each value that is handed on; None is zero.
        values: list[tuple[int, int, bool] | None] = []
        for number in range(inputs):
            self._nodes.append(Node(self._source.minimum, self._source.maximum, 0, input=number))
            values.append((number, 0, False))
        for part in found.solutions:
            values = self._part(part, values)
        outputs = []
        for value in values:
            if value is None:
                outputs.append(Output(None))
                continue
            node, exponent, negative = value
            if exponent < 0:
                raise ConversionError("gave fractions", field="da4ml", remedy=_REMEDY)
            outputs.append(Output(Term(node, exponent), negative))
        return self._pruned(tuple(outputs), round(found.cost))

    def _part(
        self, part: Part, values: Sequence[tuple[int, int, bool] | None]
    ) -> list[tuple[int, int, bool] | None]:
        """One of da4ml's graphs."""
        held: list[tuple[int, int, bool] | None] = []
        for op in part.operations:
            if op.code == -1:
                value = values[op.first]
                shift = part.input_shifts[op.first]
                held.append(value and (value[0], value[1] + shift, value[2]))
            elif op.code in (0, 1):
                second = held[op.second]
                moved = second and (
                    second[0],
                    second[1] + op.shift,
                    second[2] != (op.code == 1),
                )
                held.append(self._sum(held[op.first], moved))
            else:
                raise ConversionError(
                    "used an operation that is no sum",
                    field="da4ml",
                    value=op.code,
                    remedy=_REMEDY,
                )
        result: list[tuple[int, int, bool] | None] = []
        for place, shift, negative in zip(
            part.outputs, part.output_shifts, part.negative, strict=True
        ):
            value = held[place] if place >= 0 else None
            result.append(value and (value[0], value[1] + shift, value[2] != negative))
        return result

    def _sum(
        self, first: tuple[int, int, bool] | None, second: tuple[int, int, bool] | None
    ) -> tuple[int, int, bool] | None:
        if first is None or second is None:
            return first or second
        exponent = min(first[1], second[1])
        # -a - b is -(a + b), and b - a stays a difference whose first summand is not negative.
        negative = first[2] and second[2]
        if first[2] and not second[2]:
            first, second = second, first
        terms = [Term(value[0], value[1] - exponent) for value in (first, second)]
        subtract = first[2] != second[2]
        bounds = [
            (self._nodes[term.node].low << term.shift, self._nodes[term.node].high << term.shift)
            for term in terms
        ]
        low, high = bounds[1]
        if subtract:
            low, high = -high, -low
        level = 1 + max(self._nodes[term.node].level for term in terms)
        self._nodes.append(
            Node(bounds[0][0] + low, bounds[0][1] + high, level, None, terms[0], terms[1], subtract)
        )
        return len(self._nodes) - 1, exponent, negative

    def _pruned(self, outputs: tuple[Output, ...], cost: int) -> AdderGraph:
        """Without nodes that nothing uses."""
        used = {output.term.node for output in outputs if output.term}
        for place in reversed(range(len(self._nodes))):
            node = self._nodes[place]
            if place in used:
                used |= {term.node for term in (node.first, node.second) if term}
        places = [place for place, node in enumerate(self._nodes) if place in used]
        number = {place: new for new, place in enumerate(places)}

        def moved(term: Term | None) -> Term | None:
            return term and Term(number[term.node], term.shift)

        nodes = tuple(
            replace(node, first=moved(node.first), second=moved(node.second))
            for node in (self._nodes[place] for place in places)
        )
        return AdderGraph(
            nodes, tuple(Output(moved(one.term), one.negative) for one in outputs), cost
        )

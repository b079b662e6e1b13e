"""Arithmetic on codes: rounding, products, sums, and delays of a pipeline.

Every function adds logic to a module and returns what it computes. Widths are those of exact
results, so that nothing overflows; only `round_saturate` loses bits, and only where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed

from fdht_hls.adders import AdderGraph, Node, Term, clock_of
from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import FixedPoint

#: Summands that are added in one clock. Of more, yosys would make rows of full adders, which take
#: two LUTs a bit, where a carry chain takes one.
_SUMMANDS = 2


def code_shape(form: FixedPoint) -> Shape:
    """The shape of a code of a format."""
    return Shape(form.width, form.signed)


def raw(codes: Any, width: int) -> list[int]:
    """Codes as the bits that a memory holds."""
    return [int(code) & ((1 << width) - 1) for code in codes]


def packed(rows: Any, width: int) -> list[int]:
    """Rows of codes as words, the first code in the lowest bits."""
    return [
        sum(bits << (width * place) for place, bits in enumerate(raw(row, width))) for row in rows
    ]


def delay(module: Module, value: Any, clocks: int, *, init: int | None = None) -> Any:
    """A value some clocks later.

    Args:
        module: gets the registers.
        value: what is delayed.
        clocks: registers in a row; 0 returns the value itself.
        init: what they hold after a reset; None leaves them to themselves, so that a tool may
            take shift registers for them.
    """
    for _ in range(clocks):
        register = Signal(
            Value.cast(value).shape(), init=init or 0, reset_less=init is None, name="delayed"
        )
        module.d.sync += register.eq(value)
        value = register
    return value


def registered(module: Module, value: Any, name: str) -> Signal:
    """A value one clock later, as wide as it is."""
    register = Signal(Value.cast(value).shape(), reset_less=True, name=name)
    module.d.sync += register.eq(value)
    return register


def align(value: Any, shift: int) -> Any:
    """A code with `shift` more fractional bits."""
    return value << shift if shift else value


def round_saturate(module: Module, value: Any, fraction: int, target: FixedPoint) -> Signal:
    """A code with `fraction` fractional bits in a format: rounded half to even, saturated.

    `AP_RND_CONV` with `AP_SAT`; see `FixedPoint.requantize`.
    """
    value = Value.cast(value)
    shift = fraction - target.fraction
    if shift <= 0:
        return _saturate(module, align(value, -shift), target)
    # A shift by all bits already rounds every value to zero.
    shift = min(shift, len(value))
    wide = Signal(signed(len(value) + 1), name="unrounded")
    module.d.comb += wide.eq(value)
    sticky = wide[: shift - 1].any() if shift > 1 else Const(0)
    rounded = Signal(signed(len(wide) - shift + 1), name="rounded")
    # Above a half, or a half and the result would be odd.
    up = wide[shift - 1] & (sticky | wide[shift])
    module.d.comb += rounded.eq((wide >> shift) + up)
    return _saturate(module, rounded, target)


def _saturate(module: Module, value: Any, target: FixedPoint) -> Signal:
    wide = Signal(signed(max(len(value), target.width) + 1), name="wide")
    result = Signal(code_shape(target), name="saturated")
    beyond = wide[target.width - int(target.signed) :]
    limit = Mux(wide[-1], target.minimum, target.maximum)
    fits = ~beyond.any() | beyond.all() if target.signed else ~beyond.any()
    module.d.comb += wide.eq(value)
    module.d.comb += result.eq(Mux(fits, wide[: target.width], limit))
    return result


def product(first: Any, second: Any, multipliers: str) -> Any:
    """First x second, made of DSP slices ("dsp") or of adders ("lut").

    A constant may be second; it takes fewer adders then. Operands and product must be registers
    for a tool to put them into a DSP slice.

    Raises:
        ConfigError: there is no such kind of multiplier.
    """
    if multipliers == "dsp":
        return first * second
    if multipliers == "lut":
        first, second = Value.cast(first), Value.cast(second)
        if isinstance(second, Const):
            return _constant_product(first, second.value)
        return _booth(*((first, second) if len(first) >= len(second) else (second, first)))
    raise ConfigError("is no kind of multiplier", field="multipliers", value=multipliers)


def _signed(value: Value) -> Value:
    return value if value.shape().signed else Cat(value, Const(0, 1)).as_signed()


def _booth(value: Value, by: Value) -> Value:
    """A product as a chain of adders, one for each two bits of `by` (Booth's recoding, radix 4).

    A digit of -2 to 2 selects 0, the value or its double, perhaps inverted; this and the addition
    fit one LUT a bit, whose other input is the sum so far. What makes a negative of an inverted
    value, a one at its lowest place, is where the sum starts.
    """
    value, by = _signed(value), _signed(by)
    digits = -(-len(by) // 2)
    bits = [Const(0, 1), *(by[min(place, len(by) - 1)] for place in range(2 * digits))]
    ones = [bit for digit in range(digits) for bit in (bits[2 * digit + 2], Const(0, 1))]
    total: Value = Cat(*ones[:-1])
    for digit in range(digits):
        low, middle, high = bits[2 * digit : 2 * digit + 3]
        once, twice = middle ^ low, (middle & low & ~high) | (~middle & ~low & high)
        chosen = Mux(once, value, Mux(twice, value << 1, 0))
        inverted = Value.cast(chosen) ^ high.replicate(len(value) + 1).as_signed()
        total = _add_above(total, inverted, 2 * digit)
    return total.as_signed()


def _constant_product(value: Value, factor: int) -> Value:
    """A product as a chain of adders, one a digit of the factor that is not 0 but for the first.

    The factor is written with the digits -1, 0 and 1, of which no two neighbours differ from 0
    (canonical signed digits): a third of them on average.
    """
    value = _signed(value)
    total, negative, base = None, False, 0
    for shift, minus in _signed_digits(factor):
        if total is None:
            total, negative, base = value, minus, shift
            continue
        distance = shift - base
        if negative and not minus:
            total, negative = (value << distance) - total, False
        else:
            total = _add_above(total, value, distance, subtract=minus and not negative)
    if total is None:
        return Const(0, 1).as_signed()
    return (-total if negative else total) << base


def _signed_digits(factor: int) -> list[tuple[int, bool]]:
    """(place, is it -1) of each digit that is not 0, the lowest first."""
    found, place = [], 0
    while factor:
        if factor & 1:
            minus = factor & 3 == 3
            found.append((place, minus))
            factor += 1 if minus else -1
        factor, place = factor >> 1, place + 1
    return found


def _add_above(total: Value, value: Value, place: int, *, subtract: bool = False) -> Value:
    """Total +- (value << place); the bits below that place need no adder."""
    if len(total) < place:
        # A slice ends with its value: what is missing below that place are signs.
        total = Cat(total, total[-1].replicate(place - len(total))).as_signed()
    upper = total >> place
    upper = upper - value if subtract else upper + value
    return Cat(total[:place], upper).as_signed()


def balanced_sum(values: Sequence[Any]) -> Value:
    """The sum of values, as a tree of adders."""
    terms = [Value.cast(value) for value in values]
    while len(terms) > 1:
        pairs = [first + second for first, second in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[len(terms) - len(terms) % 2 :]
    return terms[0]


def tree_clocks(count: int) -> int:
    """Clocks that `pipelined_sum` takes for a number of summands."""
    clocks = 0
    while count > 1:
        count, clocks = -(-count // _SUMMANDS), clocks + 1
    return clocks


def pipelined_sum(module: Module, values: Sequence[Any], width: int) -> Any:
    """The sum of values, with a register behind every adder.

    Args:
        module: gets the adders.
        values: the summands.
        width: bits that any of their sums fits.

    Returns:
        The sum, `tree_clocks(len(values))` later.
    """
    terms = list(values)
    while len(terms) > 1:
        groups = [terms[at : at + _SUMMANDS] for at in range(0, len(terms), _SUMMANDS)]
        terms = [bounded(module, balanced_sum(group), width) for group in groups]
    return terms[0]


def bounded(module: Module, value: Any, width: int) -> Signal:
    """A value one clock later, as a signed number of `width` bits at most, which it fits."""
    value = Value.cast(value)
    needed = len(value) + int(not value.shape().signed)
    register = Signal(signed(min(needed, width)), reset_less=True, name="exact")
    module.d.sync += register.eq(value)
    return register


def add_constants(module: Module, graph: AdderGraph, values: Sequence[Any]) -> list[Any]:
    """The outputs of a graph, `graph.clocks` after its inputs.

    Args:
        module: gets the adders.
        graph: what to compute.
        values: the inputs, from registers.
    """
    pipeline = _Pipeline(module, graph, values)
    found = []
    for output in graph.outputs:
        if output.term is None:
            found.append(Const(0, signed(1)))
            continue
        value = pipeline.term(output.term, graph.clocks)
        found.append(-value if output.negative else value)
    return found


class _Pipeline:
    """The nodes of a graph, each in all clocks in which something uses it."""

    def __init__(self, module: Module, graph: AdderGraph, values: Sequence[Any]) -> None:
        self.module, self.nodes = module, graph.nodes
        #: Of each node: its value in the clock in which it is computed, and in those behind.
        self.held: list[list[Any]] = []
        for node in graph.nodes:
            self.held.append([self._value(node, values)])

    def _value(self, node: Node, values: Sequence[Any]) -> Any:
        if node.input is not None:
            return values[node.input]
        assert node.first is not None and node.second is not None
        first, second = (self.term(term, clock_of(node)) for term in (node.first, node.second))
        total = Signal(signed(node.width), name="sum")
        self.module.d.comb += total.eq(first - second if node.subtract else first + second)
        return total

    def term(self, term: Term, clock: int) -> Value:
        """A shifted node in a clock."""
        held = self.held[term.node]
        while len(held) <= clock - clock_of(self.nodes[term.node]):
            held.append(registered(self.module, held[-1], "held"))
        value: Value = align(held[clock - clock_of(self.nodes[term.node])], term.shift)
        return value

"""Arithmetic on codes: rounding, products, sums, and delays of a pipeline.

Every function adds logic to a module and returns what it computes. Widths are those of exact
results, so that nothing overflows; only `round_saturate` loses bits, and only where it says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, signed

from fdht_models.errors import ConfigError
from fdht_models.tensor.fixedpoint import FixedPoint

#: Summands that are added in one clock.
_SUMMANDS = 4


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

    Operands and product must be registers for a tool to put them into a DSP slice.

    Raises:
        ConfigError: there is no such kind of multiplier.
    """
    if multipliers == "dsp":
        return first * second
    if multipliers == "lut":
        first, second = Value.cast(first), Value.cast(second)
        return _shift_add(*((first, second) if len(first) >= len(second) else (second, first)))
    raise ConfigError("is no kind of multiplier", field="multipliers", value=multipliers)


def _shift_add(value: Value, by: Value) -> Value:
    """Sums shifted copies of a value: one for each bit of `by`, the sign's subtracted."""
    copies = [Mux(by[place], value << place, 0) for place in range(len(by))]
    if by.shape().signed:
        copies[-1] = -copies[-1]
    width = len(value) + len(by) + int(not (value.shape().signed or by.shape().signed))
    return balanced_sum(copies)[:width].as_signed()


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
    """The sum of values, with a register behind every two levels of adders.

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

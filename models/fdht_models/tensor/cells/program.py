"""A cell's operations with the exact format of every value: what all that computes a cell reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from fdht_models.errors import ShapeError
from fdht_models.tensor.arrays import exact_product_format, exact_sum_format
from fdht_models.tensor.cells.operations import (
    Bias,
    CellKind,
    Complement,
    Former,
    Lookup,
    Operation,
    Product,
    Projected,
    Recurrent,
    Round,
    Sum,
)
from fdht_models.tensor.fixedpoint import FixedPoint, signed_bits


@dataclass(frozen=True)
class Step:
    """A value of each unit.

    Args:
        name: unique in its program.
        operation: what it is.
        operands: names of the values it is made of, all before it.
        format: exact, or for a `Round` and a `Lookup` what it has been rounded to.
    """

    name: str
    operation: Operation
    operands: tuple[str, ...]
    format: FixedPoint


@dataclass(frozen=True)
class CellProgram:
    """What a cell computes for each unit.

    Args:
        steps: in an order in which they can be computed.
        states: name of the new value of each state, h first.
        tables: which format each truth table's argument has.

    Raises:
        ShapeError: a value is used before it is there, not used at all, or looked up by bits that
            are not a table's argument.
    """

    steps: tuple[Step, ...]
    states: Mapping[str, str]
    tables: Mapping[str, FixedPoint]

    def __post_init__(self) -> None:
        there: set[str] = set()
        used = set(self.states.values())
        for step in self.steps:
            if step.name in there or not there.issuperset(step.operands):
                raise ShapeError("is not there yet, or twice", field="steps", value=step.name)
            there.add(step.name)
            used.update(step.operands)
            if isinstance(step.operation, Lookup):
                found, wanted = self[step.operands[0]].format, self.tables[step.operation.table]
                if found != wanted:
                    raise ShapeError(
                        f"is looked up by {found}, not {wanted}", field="steps", value=step.name
                    )
        if wrong := there ^ used:
            raise ShapeError("is not used, or not there", field="steps", value=sorted(wrong)[0])

    @cached_property
    def _by_name(self) -> dict[str, Step]:
        return {step.name: step for step in self.steps}

    def __getitem__(self, name: str) -> Step:
        return self._by_name[name]

    def operands(self, step: Step) -> tuple[Step, ...]:
        """The values that a step is made of."""
        return tuple(self[name] for name in step.operands)

    def of(self, *kinds: type[Operation]) -> tuple[Step, ...]:
        """Steps of some kinds of operation, in their order."""
        return tuple(step for step in self.steps if isinstance(step.operation, kinds))

    @property
    def products(self) -> tuple[tuple[FixedPoint, FixedPoint], ...]:
        """Operands of the multipliers."""
        pairs = (self.operands(step) for step in self.of(Product))
        return tuple((first.format, second.format) for first, second in pairs)

    @property
    def arguments(self) -> tuple[Step, ...]:
        """Roundings of sums of which W_x x is a part: arguments of gates and candidates."""
        projected = {step.name for step in self.of(Projected)}
        return tuple(
            step
            for step in self.of(Round)
            if projected.intersection(self.operands(step)[0].operands)
        )

    @property
    def readers(self) -> dict[str, int]:
        """How often each truth table is read for a unit."""
        found = [step.operation.table for step in self.of(Lookup)]  # type: ignore[attr-defined]
        return {name: found.count(name) for name in self.tables}

    @property
    def former(self) -> dict[str, FixedPoint]:
        """Formats of the states whose former values are read."""
        return {step.operation.state: step.format for step in self.of(Former)}  # type: ignore[attr-defined]

    @property
    def sums(self) -> dict[str, FixedPoint]:
        """Exact formats of what is rounded, by the name of the sum or of what it is rounded to."""
        return {
            step.operation.sum or step.operation.format: self.operands(step)[0].format  # type: ignore[attr-defined]
            for step in self.of(Round)
        }


def make_program(
    kind: CellKind,
    formats: Mapping[str, FixedPoint],
    tables: Mapping[str, FixedPoint],
    sources: tuple[FixedPoint, FixedPoint, FixedPoint],
) -> CellProgram:
    """The program of a kind of cell in given formats.

    Args:
        kind: what is computed.
        formats: what values are rounded to, by name.
        tables: formats of the truth tables' results, by name.
        sources: exact formats of W_x x and W_h h, and the format of the bias.

    Raises:
        NumericError: a value would need more than 48 bits.
    """
    steps: dict[Operation, Step] = {}
    counts: dict[str, int] = {}
    given: dict[type[Operation], FixedPoint] = dict(
        zip((Projected, Recurrent, Bias), sources, strict=True)
    )
    for value in kind.operations:
        parts = [steps[one] for one in value.operands]
        form = _format(value, [part.format for part in parts], formats, tables, given)
        label = value.label
        counts[label] = counts.get(label, 0) + 1
        name = f"{label}_{counts[label]}" if value.operands else label
        steps[value] = Step(name, value, tuple(part.name for part in parts), form)
    arguments = {name: formats[table.argument] for name, table in kind.tables.items()}
    states = {name: steps[value].name for name, value in kind.states.items()}
    return CellProgram(tuple(steps.values()), states, arguments)


def _format(
    value: Operation,
    parts: list[FixedPoint],
    formats: Mapping[str, FixedPoint],
    tables: Mapping[str, FixedPoint],
    sources: Mapping[type[Operation], FixedPoint],
) -> FixedPoint:
    match value:
        case Projected() | Recurrent() | Bias():
            return sources[type(value)]
        case Former():
            return formats[value.state]
        case Sum():
            return exact_sum_format(*parts)
        case Product():
            return exact_product_format(parts[0], parts[1])
        case Complement():
            return complement_format(parts[0])
        case Round():
            return formats[value.format]
        case Lookup():
            return tables[value.table]
    raise ShapeError("is not an operation", field="operation", value=type(value).__name__)


def complement_format(form: FixedPoint) -> FixedPoint:
    """The narrowest signed format that holds 1 - value of any value of a format."""
    one = 1 << form.fraction
    return FixedPoint(signed_bits(max(one - form.minimum, form.maximum - one - 1)), form.fraction)

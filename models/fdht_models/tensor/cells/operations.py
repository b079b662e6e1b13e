"""What a cell computes for each hidden unit, as data: a few exact operations, and one that rounds.

A description is made of values, such as `Round(Projected(gate) + Bias(gate), "preactivation")`.
Equal values are one value, computed once. Every operation but `Round` and `Lookup` is exact: its
format holds every result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

from fdht_models.errors import ShapeError


@dataclass(frozen=True)
class Operation:
    """A value of each hidden unit; +, * and `1 - value` make exact ones of others."""

    def __add__(self, other: Operation) -> Sum:
        return Sum((*(self.parts if isinstance(self, Sum) else (self,)), other))

    def __mul__(self, other: Operation) -> Product:
        return Product(self, other)

    def __rsub__(self, one: int) -> Complement:
        if one != 1:
            raise ShapeError("only 1 - value is an operation", field="operation", value=one)
        return Complement(self)

    @property
    def operands(self) -> tuple[Operation, ...]:
        """The values that it is made of."""
        values = (getattr(self, entry.name) for entry in fields(self))
        each = (value if isinstance(value, tuple) else (value,) for value in values)
        return tuple(one for parts in each for one in parts if isinstance(one, Operation))

    @property
    def label(self) -> str:
        """What a value of this kind is called in C++ and RTL."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Source(Operation):
    """A value that an update begins with, of a gate."""

    gate: str

    @property
    def label(self) -> str:
        """The kind and the gate."""
        return f"{super().label}_{self.gate}"


@dataclass(frozen=True)
class Projected(Source):
    """The exact sum W_x x of a gate."""


@dataclass(frozen=True)
class Recurrent(Source):
    """The exact sum W_h h of a gate."""


@dataclass(frozen=True)
class Bias(Source):
    """The bias of a gate."""


@dataclass(frozen=True)
class Former(Operation):
    """A state, as the time step before left it."""

    state: str

    @property
    def label(self) -> str:
        """Whose it was."""
        return f"former_{self.state}"


@dataclass(frozen=True)
class Sum(Operation):
    """The exact sum of any number of values."""

    parts: tuple[Operation, ...]


@dataclass(frozen=True)
class Complement(Operation):
    """1 - value, exact; the value's format must have a code for 1."""

    value: Operation


@dataclass(frozen=True)
class Product(Operation):
    """The exact product of two values."""

    first: Operation
    second: Operation


@dataclass(frozen=True)
class Round(Operation):
    """A value in a named format: rounded half to even, then saturated.

    What is rounded is observed by the name of its format.

    Args:
        value: exact.
        format: name of the format.
        sum: name of the exact value, if others are rounded to the same format.
    """

    value: Operation
    format: str
    sum: str = ""

    @property
    def label(self) -> str:
        """The format, since that is what is observed."""
        return self.format


@dataclass(frozen=True)
class Lookup(Operation):
    """What a truth table holds at the raw bits of a value.

    Args:
        argument: a `Round` to the format of the table's argument.
        table: name of the table.
    """

    argument: Operation
    table: str

    @property
    def label(self) -> str:
        """The table."""
        return self.table


def argument(gate: str, format: str = "preactivation") -> Round:
    """round(W_x x + W_h h + b) of a gate."""
    return Round(Projected(gate) + Recurrent(gate) + Bias(gate), format)


def candidate(gate: Operation) -> Lookup:
    """candidate[round(W_x x + b + gate round(W_h h))]: of cells whose gate acts behind W_h."""
    name = "candidate"
    remembered = gate * Round(Recurrent(name), "recurrent")
    return Lookup(Round(Projected(name) + Bias(name) + remembered, "preactivation", name), name)


@dataclass(frozen=True)
class Table:
    """A truth table.

    Args:
        argument: name of its argument's format.
        function: which activation it holds: "gate" is `recurrent_activation`, onto 0..1;
            "squash" is `activation`, onto -1..1.
    """

    argument: str
    function: Literal["gate", "squash"]


@dataclass(frozen=True)
class CellKind:
    """A kind of cell.

    Args:
        name: as an experiment has it.
        gates: in the order in which W, b and the first output mode have them.
        tables: truth tables by name; each is also the name of its results' format.
        states: the new value of each state, h first; a state's name is that of its format.
        first: values that are computed before others, in this order. All else follows as the states
            need it. The order is that in which values are observed.

    Raises:
        ShapeError: it reads what there is not, or leaves something unread.
    """

    name: str
    gates: tuple[str, ...]
    tables: Mapping[str, Table]
    states: Mapping[str, Round]
    first: tuple[Operation, ...] = ()

    def __post_init__(self) -> None:
        found, states = self.operations, set(self.states)
        gates: set[str] = set()
        for kind in (Projected, Recurrent, Bias):
            gates |= {one.gate for one in found if isinstance(one, kind)} ^ set(self.gates)
        lookups = [one for one in found if isinstance(one, Lookup)]
        tables = {one.table for one in lookups} ^ set(self.tables) or {
            one.table
            for one in lookups
            if getattr(one.argument, "format", None) != self.tables[one.table].argument
        }
        former = {one.state for one in found if isinstance(one, Former)}
        # W_h h reads the hidden state; another one must be read by the cell itself.
        wrong = (former | {"hidden"}) ^ states
        wrong |= {name for name, value in self.states.items() if value.format != name}
        for field, names in {"gates": gates, "tables": tables, "states": wrong}.items():
            if names or (field == "states" and next(iter(self.states)) != "hidden"):
                raise ShapeError(
                    "is read or written where it cannot be, or not at all",
                    field=f"{self.name}.{field}",
                    value=", ".join(sorted(names)),
                )

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """All values, each behind those that it is made of."""
        found: dict[Operation, None] = {}

        def visit(value: Operation) -> None:
            if value not in found:
                for operand in value.operands:
                    visit(operand)
                found[value] = None

        for value in (*self.first, *self.states.values()):
            visit(value)
        return tuple(found)

    @property
    def formats(self) -> tuple[str, ...]:
        """Names of the formats that values are rounded to, in the order of first use."""
        rounds = (one.format for one in self.operations if isinstance(one, Round))
        return tuple(dict.fromkeys(rounds))

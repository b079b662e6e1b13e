"""The cells behind the contractions, as integers: formats, biases and truth tables of gates.

What a cell computes is data (`CellKind`); a module a kind lies in `kinds`. Tables are indexed by
the raw bits of their argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from typing import Any, ClassVar

from fdht_models.errors import ArtifactError, ShapeError
from fdht_models.records import JsonRecord, read_record
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.cells.operations import CellKind, Complement, Lookup
from fdht_models.tensor.cells.program import CellProgram, make_program
from fdht_models.tensor.fixedpoint import FixedPoint


@dataclass(frozen=True, eq=False)
class Cell(JsonRecord):
    """A kind of cell with its numbers; the classes in `CELLS` add what their kinds have.

    Args:
        bias: [gates x H], gates in the order of the kind.
        preactivation: format of the gates' argument.
        hidden: format of the hidden state h.

    Raises:
        ShapeError: an array has the wrong size, or a format no code for 1 where that is needed.
    """

    described: ClassVar[CellKind]

    bias: QuantizedArray
    preactivation: FixedPoint
    hidden: FixedPoint

    def __post_init__(self) -> None:
        rows = self.bias.codes.size
        if self.bias.codes.ndim != 1 or rows % len(self.gates):
            raise ShapeError(
                f"must be a vector of {len(self.gates)} x H",
                field="bias",
                value=self.bias.codes.shape,
            )
        for name, argument in self.arguments.items():
            codes = self.tables[name].codes
            if codes.ndim != 1:
                raise ShapeError("must be a vector", field=name, value=codes.shape)
            if codes.size != 1 << argument.width:
                raise ShapeError(f"expected {1 << argument.width}", field=name, value=codes.size)
        for value in self.described.operations:
            if isinstance(value, Complement) and isinstance(value.value, Lookup):
                name = value.value.table
                if (fraction := self.tables[name].format.fraction) < 0:
                    raise ShapeError(
                        "has no code for 1", field=f"{name}.format.fraction", value=fraction
                    )

    @property
    def kind(self) -> str:
        """Name of the kind."""
        return self.described.name

    @property
    def tables(self) -> dict[str, QuantizedArray]:
        """Truth tables by name."""
        return {name: getattr(self, name) for name in self.described.tables}

    @property
    def formats(self) -> dict[str, FixedPoint]:
        """The formats that values are rounded to, by name."""
        return {name: getattr(self, name) for name in self.described.formats}

    @property
    def arguments(self) -> dict[str, FixedPoint]:
        """Format of each truth table's argument."""
        tables = self.described.tables
        return {name: getattr(self, table.argument) for name, table in tables.items()}

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates."""
        return self.described.gates

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.bias.codes.size // len(self.gates)

    def program(self, projected: FixedPoint, recurrent: FixedPoint) -> CellProgram:
        """What is computed for each unit, with the exact format of every value.

        Args:
            projected: exact format of W_x x.
            recurrent: exact format of W_h h.

        Raises:
            NumericError: a value would need more than 48 bits.
        """
        tables = {name: table.format for name, table in self.tables.items()}
        sources = (projected, recurrent, self.bias.format)
        return make_program(self.described, self.formats, tables, sources)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `cell_from` reads back."""
        return {"kind": self.kind, **super().to_json()}


def _cell_class(kind: CellKind) -> type[Cell]:
    """A kind's cells: beside what all have, its tables and formats by their names."""
    own: dict[str, Any] = dict.fromkeys(kind.tables, QuantizedArray)
    own |= {name: FixedPoint for name in kind.formats if name not in ("preactivation", "hidden")}
    return make_dataclass(
        f"{kind.name.capitalize()}Cell",
        own.items(),
        bases=(Cell,),
        namespace={"described": kind, "__module__": __name__},
        frozen=True,
        eq=False,
    )


#: The class of each kind's cells, by the kind's name.
CELLS: dict[str, type[Cell]] = {name: _cell_class(kind) for name, kind in KINDS.items()}


def cell_from(value: object) -> Cell:
    """The inverse of `Cell.to_json`.

    Raises:
        ArtifactError: there is no such kind of cell; a key is unknown or missing, or a value of
            another kind.
    """
    table: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
    name = table.get("kind")
    kind = CELLS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ArtifactError("is not a cell", field="kind", value=name)
    own = {key: entry for key, entry in table.items() if key != "kind"}
    return read_record(kind, own, error=ArtifactError)

"""The cells behind the contractions, as integers: formats, biases and truth tables of gates.

Tables are indexed by the raw bits of their argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from fdht_models.errors import ArtifactError, ShapeError
from fdht_models.records import read_record
from fdht_models.tensor.arrays import QuantizedArray, exact_product_format, exact_sum_format
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.recurrent import GATES


@dataclass(frozen=True, eq=False)
class Cell:
    """What the cells have in common.

    Args:
        bias: [gates x H], gates in the order of `GATES`.
        preactivation: format of the gates' argument.
        gate: truth table of the gates over all codes of `preactivation`.
        candidate: truth table of the candidate, likewise.
        hidden: format of the hidden state h.

    Raises:
        ShapeError: an array has the wrong size.
    """

    kind: ClassVar[str]

    bias: QuantizedArray
    preactivation: FixedPoint
    gate: QuantizedArray
    candidate: QuantizedArray
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
            codes = getattr(self, name).codes
            size = codes.size
            if codes.ndim != 1:
                raise ShapeError("must be a vector", field=name, value=codes.shape)
            if size != 1 << argument.width:
                raise ShapeError(f"expected {1 << argument.width}", field=name, value=size)

    @property
    def arguments(self) -> dict[str, FixedPoint]:
        """Format of each truth table's argument."""
        return {"gate": self.preactivation, "candidate": self.preactivation}

    @property
    def gates(self) -> tuple[str, ...]:
        """Names of the gates."""
        return GATES[self.kind]

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.bias.codes.size // len(self.gates)

    def sums(self, projected: FixedPoint, recurrent: FixedPoint) -> dict[str, FixedPoint]:
        """Exact formats of sums by the format to which they are rounded.

        Args:
            projected: exact format of W_x x.
            recurrent: exact format of W_h h.
        """
        return {"preactivation": exact_sum_format(projected, recurrent, self.bias.format)}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `cell_from` reads back."""
        values = {entry.name: getattr(self, entry.name).to_json() for entry in fields(self)}
        return {"kind": self.kind, **values}


@dataclass(frozen=True, eq=False)
class LstmCell(Cell):
    """pre = round(W_x x + W_h h + b); f, u, o = gate[pre]; g = candidate[pre];
    c = round(f c + u g); h = round(o output[c]).

    Args:
        output: truth table over all codes of the cell state.
        cell: format of the cell state c.
    """

    kind = "lstm"

    output: QuantizedArray
    cell: FixedPoint

    @property
    def arguments(self) -> dict[str, FixedPoint]:
        """Format of each truth table's argument."""
        return {**super().arguments, "output": self.cell}

    def sums(self, projected: FixedPoint, recurrent: FixedPoint) -> dict[str, FixedPoint]:
        """See `Cell.sums`: "cell" is f c + u g, "hidden" is o output[c]."""
        gate = self.gate.format
        return {
            **super().sums(projected, recurrent),
            "cell": exact_sum_format(
                exact_product_format(gate, self.cell),
                exact_product_format(gate, self.candidate.format),
            ),
            "hidden": exact_product_format(gate, self.output.format),
        }


@dataclass(frozen=True, eq=False)
class GruCell(Cell):
    """pre = round(W_x x + W_h h + b) and r, z = gate[pre] for the first two gates;
    m = round(W_h h) and n = candidate[round(W_x x + b + r m)] for the third;
    h = round((1 - z) n + z h).

    Args:
        recurrent: format of m.
    """

    kind = "gru"

    recurrent: FixedPoint

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gate.format.fraction < 0:
            raise ShapeError(
                "has no code for 1", field="gate.format.fraction", value=self.gate.format.fraction
            )

    @property
    def rest(self) -> FixedPoint:
        """Exact format of 1 - z."""
        gate = self.gate.format
        return FixedPoint(max(gate.width, gate.fraction + 1) + 1, gate.fraction)

    def sums(self, projected: FixedPoint, recurrent: FixedPoint) -> dict[str, FixedPoint]:
        """See `Cell.sums`: "recurrent" is W_h h, "candidate" W_x x + b + r m, "hidden" the last."""
        gate = self.gate.format
        return {
            **super().sums(projected, recurrent),
            "recurrent": recurrent,
            "candidate": exact_sum_format(
                projected, self.bias.format, exact_product_format(gate, self.recurrent)
            ),
            "hidden": exact_sum_format(
                exact_product_format(self.rest, self.candidate.format),
                exact_product_format(gate, self.hidden),
            ),
        }


CELLS: dict[str, type[Cell]] = {kind.kind: kind for kind in (LstmCell, GruCell)}


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

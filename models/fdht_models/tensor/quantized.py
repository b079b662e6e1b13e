"""QuantizedNetwork: plan, fixed-point formats, integer weights, gate tables and head.

This is the truth that Keras exports and that the reference, the C simulation, the RTL and the
board reproduce, integer for integer. A stage accumulates exactly and rounds once, at its end;
gates are truth tables over all codes of their argument.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from fdht_models.artifacts import canonical_json, read_json, write_text
from fdht_models.errors import ArtifactError, NumericError, ShapeError
from fdht_models.preprocessing import Preprocessing
from fdht_models.records import JsonRecord, first_difference, read_record
from fdht_models.tensor.arrays import (
    QuantizedArray,
    exact_product_format,
    exact_sum_format,
)
from fdht_models.tensor.cells import Cell, cell_from
from fdht_models.tensor.cells.program import CellProgram
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.plan import ContractionPlan, Stage
from fdht_models.tensor.recurrent import HIDDEN_SUFFIX

SCHEMA_VERSION = 3
#: Bytes of one memory word of the core's ports.
WORD_BYTES = 8
#: Bytes of one logit in memory.
LOGIT_BYTES = 4


@dataclass(frozen=True)
class ContractionPath(JsonRecord):
    """A plan with the formats of what its stages emit.

    Args:
        plan: the contraction.
        cores: name of the stored core of each stage; the stage uses its leading part.
        formats: output format of every stage but the last, which stays exact.
    """

    plan: ContractionPlan = field(metadata={"read": ContractionPlan.from_json})
    cores: tuple[str, ...]
    formats: tuple[FixedPoint, ...]


@dataclass(frozen=True, eq=False)
class Head(JsonRecord):
    """Dense layer from h to one logit a class; logits are exact.

    Args:
        weights: [H, classes].
        bias: [classes].
    """

    weights: QuantizedArray
    bias: QuantizedArray


@dataclass(frozen=True, eq=False)
class QuantizedRecurrence(JsonRecord):
    """A quantised tensorized recurrent layer: both contractions and the cell.

    Args:
        input_format: format of a frame's values.
        cores: stored cores by name.
        input_path: W_x x.
        hidden_path: W_h h.
        cell: the cell behind them.

    Raises:
        ShapeError: the parts do not fit together.
    """

    input_format: FixedPoint
    cores: Mapping[str, QuantizedArray]
    input_path: ContractionPath
    hidden_path: ContractionPath
    cell: Cell = field(metadata={"read": cell_from})

    def __post_init__(self) -> None:
        if self.input_format.width != 8:
            raise ShapeError(
                "frames are streamed as bytes",
                field="input_format.width",
                value=self.input_format.width,
                remedy="use 8 bits",
            )
        for path in (self.input_path, self.hidden_path):
            if len(path.cores) != len(path.plan.stages):
                raise ShapeError("needs one core a stage", field="cores", value=path.cores)
            if len(path.formats) != len(path.plan.stages) - 1:
                raise ShapeError("needs one format for each stage but the last", field="formats")
        rows = len(self.cell.gates) * self.units
        _expect(
            {
                "input_path.plan.output_size": (self.input_path.plan.output_size, rows),
                "hidden_path.plan.output_size": (self.hidden_path.plan.output_size, rows),
                "hidden_path.plan.input_size": (self.hidden_path.plan.input_size, self.units),
            }
        )
        self._check_cores()

    def _check_cores(self) -> None:
        """Refuses cores that are too small or of another stage, and those that no stage uses."""
        for path in (self.input_path, self.hidden_path):
            for position, name in enumerate(path.cores):
                self.core_of(path, position)
                own = path.plan.stages[position].core
                if name not in (own, own + HIDDEN_SUFFIX):
                    raise ShapeError(f"must be the core of stage {own}", field="cores", value=name)
        unused = sorted({*self.cores} - {*self.input_path.cores, *self.hidden_path.cores})
        if unused:
            raise ShapeError("no stage uses it", field=f"cores.{unused[0]}")

    @property
    def inputs(self) -> int:
        """Values in a frame."""
        return self.input_path.plan.input_size

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.cell.units

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the contractions of a frame."""
        return self.input_path.plan.macs + self.hidden_path.plan.macs

    def core_of(self, path: ContractionPath, position: int) -> QuantizedArray:
        """The part of a stored core that a stage uses.

        Raises:
            ShapeError: the stored core is missing or too small.
        """
        stage: Stage = path.plan.stages[position]
        name = path.cores[position]
        if name not in self.cores:
            raise ShapeError("no such core", field="cores", value=name)
        stored = self.cores[name]
        if stored.codes.ndim != len(stage.core_shape):
            raise ShapeError(
                f"stage {position} needs {len(stage.core_shape)} axes",
                field=f"cores.{name}",
                value=stored.codes.shape,
            )
        part = stored.codes[tuple(slice(0, size) for size in stage.core_shape)]
        if part.shape != stage.core_shape:
            raise ShapeError(
                f"stage {position} needs {stage.core_shape}",
                field=f"cores.{name}",
                value=stored.codes.shape,
            )
        return QuantizedArray(stored.format, part)

    def stage_input_format(self, path: ContractionPath, position: int) -> FixedPoint:
        """Format of what a stage reads."""
        if position:
            return path.formats[position - 1]
        return self.input_format if path is self.input_path else self.cell.hidden

    def accumulator_format(self, path: ContractionPath, position: int) -> FixedPoint:
        """Exact format of a stage's sums, sized from the plan: no input can overflow it."""
        position %= len(path.plan.stages)
        stage = path.plan.stages[position]
        source = self.stage_input_format(path, position)
        core = self.core_of(path, position).format
        return exact_product_format(source, core, stage.terms)

    @cached_property
    def cell_program(self) -> CellProgram:
        """What the cell computes for each unit, with the exact format of every value.

        Raises:
            NumericError: a value would need more than 48 bits.
        """
        return self.cell.program(
            self.accumulator_format(self.input_path, -1),
            self.accumulator_format(self.hidden_path, -1),
        )

    def check_sums(self) -> None:
        """Refuses formats whose exact sums are too wide, here rather than in the first frame.

        Raises:
            NumericError: a sum would need more than 48 bits.
        """
        for label in ("input_path", "hidden_path"):
            path = getattr(self, label)
            for position in range(len(path.plan.stages)):
                with _placed(f"recurrence.{label}: sum of stage {position}"):
                    self.accumulator_format(path, position)
        with _placed("recurrence.cell: sum"):
            self.cell_program  # noqa: B018 - a cached property that raises

    @property
    def sums(self) -> dict[str, FixedPoint]:
        """Exact formats of what the cell rounds; see `CellProgram.sums`."""
        return self.cell_program.sums


@dataclass(frozen=True, eq=False)
class QuantizedNetwork(JsonRecord):
    """A quantised tensorized recurrent layer with its head: what is converted, built and run.

    Args:
        name: the experiment's name.
        classes: labels, one a logit.
        preprocessing: how a clip becomes its inputs.
        recurrence: the recurrent layer.
        head: the classifier.

    Raises:
        ShapeError: the parts do not fit together.
    """

    name: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    recurrence: QuantizedRecurrence
    head: Head

    def __post_init__(self) -> None:
        _expect(
            {
                "head.weights": (
                    self.head.weights.codes.shape,
                    (self.recurrence.units, len(self.classes)),
                ),
                "head.bias": (self.head.bias.codes.shape, (len(self.classes),)),
            }
        )
        names = set(self.classes)
        if not names or "" in names or len(names) < len(self.classes):
            raise ShapeError("must be different names", field="classes", value=self.classes)
        if not self.name:
            raise ShapeError("must not be empty", field="name", value=self.name)
        if self.preprocessing.inputs != self.recurrence.inputs:
            raise ShapeError(
                f"gives frames of {self.preprocessing.inputs} values, and the network reads "
                f"{self.recurrence.inputs}",
                field="preprocessing",
                value=self.preprocessing.frame_shape,
            )
        self.recurrence.check_sums()
        with _placed("head: sum"):
            self.logit_format  # noqa: B018 - a cached property that raises
        if self.logit_format.width > 8 * LOGIT_BYTES:
            raise ShapeError(
                f"a result holds {8 * LOGIT_BYTES} bits",
                field="logit_format.width",
                value=self.logit_format.width,
                remedy="use fewer bits for the head's weights",
            )

    @property
    def inputs(self) -> int:
        """Values in a frame."""
        return self.recurrence.inputs

    @property
    def feature(self) -> str | None:
        """The feature computed from video frames, or None."""
        return self.preprocessing.feature

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a raw frame: (height, width, 3) for video."""
        return self.preprocessing.frame_shape

    @property
    def input_format(self) -> FixedPoint:
        """Format of a frame's values."""
        return self.recurrence.input_format

    @property
    def frame_bytes(self) -> int:
        """Distance between two frames in memory: one byte a value, whole words."""
        return -(-self.inputs // WORD_BYTES) * WORD_BYTES

    @property
    def result_bytes(self) -> int:
        """Distance between two results in memory: four bytes a logit, whole words."""
        return -(-LOGIT_BYTES * len(self.classes) // WORD_BYTES) * WORD_BYTES

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a frame, head included."""
        return self.recurrence.macs + self.recurrence.units * len(self.classes)

    @cached_property
    def logit_format(self) -> FixedPoint:
        """Exact format of a logit."""
        product = exact_product_format(
            self.head.weights.format, self.recurrence.cell.hidden, self.recurrence.units
        )
        return exact_sum_format(product, self.head.bias.format)

    @cached_property
    def design_id(self) -> int:
        """First 64 bits of the SHA-256 of the canonical JSON: the core's identity."""
        digest = hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()
        return int(digest[:16], 16)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {"schema": SCHEMA_VERSION, **super().to_json()}

    @staticmethod
    def from_json(value: object) -> QuantizedNetwork:
        """The inverse of `to_json`: what it accepts, `to_json` gives again, integer for integer.

        Raises:
            ArtifactError: a key is unknown or missing, a value of another kind or beyond its
                range, or the parts do not fit together; names the dotted path.
        """
        schema = value.get("schema") if isinstance(value, Mapping) else None
        if not isinstance(value, Mapping) or type(schema) is not int or schema != SCHEMA_VERSION:
            raise ArtifactError(f"expected {SCHEMA_VERSION}", field="schema", value=schema)
        table = {key: entry for key, entry in value.items() if key != "schema"}
        network = read_record(QuantizedNetwork, table, error=ArtifactError)
        again = network.to_json()
        if canonical_json(again) != canonical_json(value):
            raise ArtifactError("is missing", field=first_difference(value, again))
        return network

    def save(self, path: Path) -> None:
        """Writes the network as JSON, atomically."""
        write_text(path, canonical_json(self.to_json()) + "\n")

    @staticmethod
    def load(path: Path) -> QuantizedNetwork:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        value = read_json(path, "run fdht train")
        try:
            return QuantizedNetwork.from_json(value)
        except ArtifactError as error:
            earlier = type(error.value) is int and 0 < error.value < SCHEMA_VERSION
            if error.field == "schema" and earlier:
                raise ArtifactError(
                    "was written by an earlier version of fdht, whose networks do not say how "
                    f"clips become inputs; this one reads {SCHEMA_VERSION}",
                    field=f"{path}: schema",
                    value=error.value,
                    remedy="run fdht train, fdht convert and fdht build again",
                ) from error
            raise error.moved(
                problem=f"is not a quantised network: {error.problem}",
                field=f"{path}: {error.field}",
                remedy="run fdht train again",
            ) from error


def frame_modes(recurrence: QuantizedRecurrence) -> tuple[int, int]:
    """(fibres, values a fibre): a frame as a stream of fibres of the last input mode."""
    shape = recurrence.input_path.plan.input_shape
    return math.prod(shape[:-1]), shape[-1]


@contextmanager
def _placed(place: str) -> Iterator[None]:
    """Names the sum whose format cannot be held."""
    try:
        yield
    except NumericError as error:
        raise error.moved(field=f"{place}: {error.field}") from error


def _expect(checks: Mapping[str, tuple[Any, Any]]) -> None:
    for name, (found, wanted) in checks.items():
        if found != wanted:
            raise ShapeError(f"expected {wanted}", field=name, value=found)

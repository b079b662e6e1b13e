"""QuantizedNetwork: plan, fixed-point formats, integer weights, gate tables and head.

This is the truth that Keras exports and that the reference, the C simulation, the RTL and the
board reproduce, integer for integer. A stage accumulates exactly and rounds once, at its end;
gates are truth tables over all codes of their argument.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fdht_models.artifacts import canonical_json, read_json, write_text
from fdht_models.errors import ArtifactError, FdhtError, ShapeError
from fdht_models.tensor.fdht import GATES
from fdht_models.tensor.fixedpoint import Codes, FixedPoint, signed_bits
from fdht_models.tensor.plan import ContractionPlan, Stage

SCHEMA_VERSION = 1
#: Bytes of one memory word of the core's ports.
WORD_BYTES = 8
#: Bytes of one logit in memory.
LOGIT_BYTES = 4


@dataclass(frozen=True, eq=False)
class QuantizedArray:
    """Integer codes and their format.

    Raises:
        ShapeError: a code does not fit the format.
    """

    format: FixedPoint
    codes: Codes

    def __post_init__(self) -> None:
        codes = self.codes
        if codes.size and (codes.min() < self.format.minimum or codes.max() > self.format.maximum):
            raise ShapeError(
                f"codes {codes.min()}..{codes.max()} do not fit {self.format}", field="codes"
            )
        if codes.flags.writeable:
            # A copy: freezing the caller's array would be a surprise.
            codes = codes.copy()
            codes.setflags(write=False)
            object.__setattr__(self, "codes", codes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {"format": self.format.to_json(), "codes": self.codes.tolist()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> QuantizedArray:
        """The inverse of `to_json`."""
        codes = np.array(value["codes"])
        if codes.dtype != np.int64:
            raise ShapeError("must be integers", field="codes", value=str(codes.dtype))
        return QuantizedArray(FixedPoint.from_json(value["format"]), codes)


@dataclass(frozen=True)
class ContractionPath:
    """A plan with the formats of what its stages emit.

    Args:
        plan: the contraction.
        cores: name of the stored core of each stage; the stage uses its leading part.
        formats: output format of every stage but the last, which stays exact.
    """

    plan: ContractionPlan
    cores: tuple[str, ...]
    formats: tuple[FixedPoint, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "plan": self.plan.to_json(),
            "cores": list(self.cores),
            "formats": [format.to_json() for format in self.formats],
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> ContractionPath:
        """The inverse of `to_json`."""
        return ContractionPath(
            ContractionPlan.from_json(value["plan"]),
            tuple(value["cores"]),
            tuple(FixedPoint.from_json(format) for format in value["formats"]),
        )


@dataclass(frozen=True, eq=False)
class LstmCell:
    """The cell behind the contractions.

    pre = round(W_x x + W_h h + b); f, u, o = gate[pre]; g = candidate[pre];
    c = round(f c + u g); h = round(o output[c]). Tables are indexed by raw bits.

    Args:
        bias: [4 H], gates in the order of `fdht_models.tensor.fdht.GATES`.
        preactivation: format of `pre`.
        gate: truth table of forget, update and output gate over all codes of `pre`.
        candidate: truth table of the candidate over all codes of `pre`.
        output: truth table over all codes of the cell state.
        cell: format of the cell state c.
        hidden: format of the hidden state h.
    """

    bias: QuantizedArray
    preactivation: FixedPoint
    gate: QuantizedArray
    candidate: QuantizedArray
    output: QuantizedArray
    cell: FixedPoint
    hidden: FixedPoint

    _ARRAYS = ("bias", "gate", "candidate", "output")
    _FORMATS = ("preactivation", "cell", "hidden")

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.bias.codes.size // len(GATES)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {name: getattr(self, name).to_json() for name in (*self._ARRAYS, *self._FORMATS)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> LstmCell:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = {
            name: QuantizedArray.from_json(value[name]) for name in LstmCell._ARRAYS
        }
        fields |= {name: FixedPoint.from_json(value[name]) for name in LstmCell._FORMATS}
        return LstmCell(**fields)


@dataclass(frozen=True, eq=False)
class Head:
    """Dense layer from h to one logit a class; logits are exact.

    Args:
        weights: [H, classes].
        bias: [classes].
    """

    weights: QuantizedArray
    bias: QuantizedArray

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {"weights": self.weights.to_json(), "bias": self.bias.to_json()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Head:
        """The inverse of `to_json`."""
        return Head(
            QuantizedArray.from_json(value["weights"]), QuantizedArray.from_json(value["bias"])
        )


@dataclass(frozen=True, eq=False)
class QuantizedLstm:
    """A quantised tensorized LSTM: both contractions and the cell.

    Args:
        input_format: format of a frame's values.
        cores: stored cores by name.
        input_path: W_x x.
        hidden_path: W_h h.
        cell: the LSTM cell.

    Raises:
        ShapeError: the parts do not fit together.
    """

    input_format: FixedPoint
    cores: Mapping[str, QuantizedArray]
    input_path: ContractionPath
    hidden_path: ContractionPath
    cell: LstmCell

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
            for position in range(len(path.plan.stages)):
                self.core_of(path, position)
        pre = len(GATES) * self.units
        _expect(
            {
                "input_path.plan.output_size": (self.input_path.plan.output_size, pre),
                "hidden_path.plan.output_size": (self.hidden_path.plan.output_size, pre),
                "hidden_path.plan.input_size": (self.hidden_path.plan.input_size, self.units),
                "cell.bias": (self.cell.bias.codes.shape, (pre,)),
                "cell.gate": (self.cell.gate.codes.size, 1 << self.cell.preactivation.width),
                "cell.candidate": (
                    self.cell.candidate.codes.size,
                    1 << self.cell.preactivation.width,
                ),
                "cell.output": (self.cell.output.codes.size, 1 << self.cell.cell.width),
            }
        )

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
    def sum_format(self) -> FixedPoint:
        """Exact format of W_x x + W_h h + b."""
        return exact_sum_format(
            self.accumulator_format(self.input_path, -1),
            self.accumulator_format(self.hidden_path, -1),
            self.cell.bias.format,
        )

    @cached_property
    def cell_sum_format(self) -> FixedPoint:
        """Exact format of f c + u g."""
        gate = self.cell.gate.format
        return exact_sum_format(
            exact_product_format(gate, self.cell.cell),
            exact_product_format(gate, self.cell.candidate.format),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "input_format": self.input_format.to_json(),
            "cores": {name: core.to_json() for name, core in sorted(self.cores.items())},
            "input_path": self.input_path.to_json(),
            "hidden_path": self.hidden_path.to_json(),
            "cell": self.cell.to_json(),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> QuantizedLstm:
        """The inverse of `to_json`."""
        return QuantizedLstm(
            FixedPoint.from_json(value["input_format"]),
            {name: QuantizedArray.from_json(core) for name, core in value["cores"].items()},
            ContractionPath.from_json(value["input_path"]),
            ContractionPath.from_json(value["hidden_path"]),
            LstmCell.from_json(value["cell"]),
        )


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A quantised tensorized LSTM with its head: what is converted, built and run.

    Args:
        name: the experiment's name.
        classes: labels, one a logit.
        feature: name of the feature computed from video frames, or None.
        frame_shape: shape of a raw frame: (height, width, 3) for video.
        lstm: the recurrent layer.
        head: the classifier.

    Raises:
        ShapeError: the parts do not fit together.
    """

    name: str
    classes: tuple[str, ...]
    feature: str | None
    frame_shape: tuple[int, ...]
    lstm: QuantizedLstm
    head: Head

    def __post_init__(self) -> None:
        _expect(
            {
                "head.weights": (
                    self.head.weights.codes.shape,
                    (self.lstm.units, len(self.classes)),
                ),
                "head.bias": (self.head.bias.codes.shape, (len(self.classes),)),
            }
        )
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
        return self.lstm.inputs

    @property
    def input_format(self) -> FixedPoint:
        """Format of a frame's values."""
        return self.lstm.input_format

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
        return self.lstm.macs + self.lstm.units * len(self.classes)

    @cached_property
    def logit_format(self) -> FixedPoint:
        """Exact format of a logit."""
        product = exact_product_format(
            self.head.weights.format, self.lstm.cell.hidden, self.lstm.units
        )
        return exact_sum_format(product, self.head.bias.format)

    @cached_property
    def design_id(self) -> int:
        """First 64 bits of the SHA-256 of the canonical JSON: the core's identity."""
        digest = hashlib.sha256(canonical_json(self.to_json()).encode()).hexdigest()
        return int(digest[:16], 16)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "schema": SCHEMA_VERSION,
            "name": self.name,
            "classes": list(self.classes),
            "feature": self.feature,
            "frame_shape": list(self.frame_shape),
            "lstm": self.lstm.to_json(),
            "head": self.head.to_json(),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> QuantizedNetwork:
        """The inverse of `to_json`."""
        if value["schema"] != SCHEMA_VERSION:
            raise ArtifactError(f"expected {SCHEMA_VERSION}", field="schema", value=value["schema"])
        return QuantizedNetwork(
            value["name"],
            tuple(value["classes"]),
            value["feature"],
            tuple(value["frame_shape"]),
            QuantizedLstm.from_json(value["lstm"]),
            Head.from_json(value["head"]),
        )

    def save(self, path: Path) -> None:
        """Writes the network as JSON, atomically."""
        write_text(path, canonical_json(self.to_json()) + "\n")

    @staticmethod
    def load(path: Path) -> QuantizedNetwork:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        value = read_json(path)
        try:
            return QuantizedNetwork.from_json(value)
        except (AttributeError, KeyError, TypeError, ValueError, FdhtError) as error:
            raise ArtifactError(
                f"is not a quantised network ({type(error).__name__}: {error})",
                field=str(path),
                remedy="run fdht train again",
            ) from error


def exact_product_format(first: FixedPoint, second: FixedPoint, terms: int = 1) -> FixedPoint:
    """The narrowest signed format that holds any sum of `terms` products of two formats."""
    bound = first.magnitude * second.magnitude * terms
    return FixedPoint(signed_bits(bound), first.fraction + second.fraction)


def exact_sum_format(*parts: FixedPoint) -> FixedPoint:
    """The narrowest signed format that holds any sum of one number of each format."""
    fraction = max(part.fraction for part in parts)
    bound = sum(part.magnitude << (fraction - part.fraction) for part in parts)
    return FixedPoint(signed_bits(bound), fraction)


def frame_modes(lstm: QuantizedLstm) -> tuple[int, int]:
    """(fibres, values a fibre): a frame as a stream of fibres of the last input mode."""
    shape = lstm.input_path.plan.input_shape
    return math.prod(shape[:-1]), shape[-1]


def _expect(checks: Mapping[str, tuple[Any, Any]]) -> None:
    for field, (found, wanted) in checks.items():
        if found != wanted:
            raise ShapeError(f"expected {wanted}", field=field, value=found)

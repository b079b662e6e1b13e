"""hls4ml graph nodes: one for the Keras layer, and those into which it is expanded.

A quantised layer becomes one `FdhtContraction` a stage and one `FdhtCell`: each a process of
hls4ml's DATAFLOW region, with its own types, weights and parallelism, joined by hls4ml's streams.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from hls4ml.model.attributes import (
    Attribute,
    TypeAttribute,
    WeightAttribute,
)
from hls4ml.model.layers import Layer
from hls4ml.model.types import (
    FixedPrecisionType,
    IntegerPrecisionType,
    RoundingMode,
    SaturationMode,
)

from fdht_hls.beats import beat_weights
from fdht_hls.schedule import Schedule, StageSchedule
from fdht_hls.shapes import emission_order, group_positions, stage_shape, update_order
from fdht_hls.weights import bias_rows
from fdht_models.errors import ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedRecurrence


def fixed_type(format: FixedPoint) -> FixedPrecisionType:
    """hls4ml's type of a format."""
    return FixedPrecisionType(
        format.width, format.integer, format.signed, RoundingMode.RND_CONV, SaturationMode.SAT
    )


def add_codes(
    node: Layer, name: str, array: QuantizedArray | npt.NDArray[np.int64], width: int = 0
) -> None:
    """Gives a node a weight array of plain integers, of one or two dimensions."""
    if isinstance(array, QuantizedArray):
        precision = IntegerPrecisionType(array.format.width, array.format.signed)
        codes = array.codes
    else:
        precision = IntegerPrecisionType(width, False)
        codes = array.ravel()
    node.add_weights_variable(
        name=name,
        var_name=name + "{index}",
        type_name=name + "{index}_t",
        precision=precision,
        data=codes.astype(np.float64),
    )


class FdhtLstm(Layer):
    """The Keras layer as parsed; replaced by `expand` before anything else happens."""

    _expected_attributes = (Attribute("lstm", value_type=QuantizedRecurrence),)

    def initialize(self) -> None:
        """Declares the output: h of every step, or of the last.

        Raises:
            ConversionError: another backend of hls4ml wants it; none of them has its numbers.
        """
        backend = self.model.config.backend.name
        if backend != "FDHT":
            raise ConversionError(
                "is exact in hls4ml's backend FDHT alone",
                field=self.name,
                value=f"backend {backend}",
                remedy="use backend='FDHT'",
            )
        steps, units = self.get_attr("steps"), self.get_attr("lstm").units
        shape = [steps, units] if self.get_attr("return_sequences") else [units]
        self.add_output_variable(shape, precision=fixed_type(self.get_attr("lstm").cell.hidden))


class FdhtContraction(Layer):
    """One stage of W_x x."""

    _expected_attributes = (
        Attribute("steps"),
        Attribute("position"),
        Attribute("schedule", value_type=StageSchedule),
        WeightAttribute("core"),
        TypeAttribute("core"),
    )

    def initialize(self) -> None:
        """Declares output stream and weights."""
        lstm: QuantizedRecurrence = self.get_attr("lstm")
        path, position = lstm.input_path, self.get_attr("position")
        shape = stage_shape(path, position)
        last = position == len(path.formats)
        format = lstm.accumulator_format(path, position) if last else path.formats[position]
        self.set_attr("shape", shape)
        self.add_output_variable(
            [self.get_attr("steps"), shape.words_out, shape.word_out], precision=fixed_type(format)
        )
        schedule: StageSchedule = self.get_attr("schedule")
        add_codes(self, "core", beat_weights(lstm, path, position, shape, schedule))


class FdhtCell(Layer):
    """W_h h, gates and state."""

    #: Its arrays that are arguments of its C++ function, in their order; truth tables are others.
    ARRAYS: ClassVar[tuple[str, ...]] = ("bias", "position")

    _expected_attributes = (
        Attribute("steps"),
        Attribute("stateful", value_type=bool),
        Attribute("schedule", value_type=tuple),
        Attribute("streamed", value_type=bool, default=False),
        *(WeightAttribute(name) for name in ARRAYS),
        *(TypeAttribute(name) for name in ARRAYS),
    )

    def stream_units(self) -> None:
        """From now on each unit is a word of the output, in the order of `update_order`."""
        self.set_attr("streamed", True)
        lstm: QuantizedRecurrence = self.get_attr("lstm")
        self.add_output_variable([lstm.units, 1], precision=fixed_type(lstm.cell.hidden))

    def initialize(self) -> None:
        """Declares output stream, tables, and the cores of W_h."""
        lstm: QuantizedRecurrence = self.get_attr("lstm")
        cell, path = lstm.cell, lstm.hidden_path
        steps = self.get_attr("steps")
        result = [steps, lstm.units] if self.get_attr("return_sequences") else [lstm.units]
        self.add_output_variable(result, precision=fixed_type(cell.hidden))
        order = emission_order(lstm.input_path)
        if not np.array_equal(order.ravel(), emission_order(path).ravel()):
            raise ConversionError("W_x x and W_h h must emit their sums in the same order")
        add_codes(self, "bias", bias_rows(lstm))
        positions = group_positions(lstm)
        add_codes(self, "position", positions, max(1, int(positions.max()).bit_length()))
        for name, table in cell.tables.items():
            add_codes(self, name, table)
        for position in range(len(path.plan.stages)):
            shape = stage_shape(path, position)
            weights = beat_weights(lstm, path, position, shape, self.get_attr("schedule")[position])
            add_codes(self, hidden_core(position), weights)


class FdhtHead(Layer):
    """A dense layer that adds up while its cell updates units; see `fdht_hls.streaming`."""

    #: Its arrays, in the order of its C++ function.
    ARRAYS: ClassVar[tuple[str, ...]] = ("head_number", "head_weight", "head_bias")

    _expected_attributes = (
        Attribute("logits", value_type=FixedPoint),
        Attribute("dense", value_type=tuple),
        *(WeightAttribute(name) for name in ARRAYS),
        *(TypeAttribute(name) for name in ARRAYS),
    )

    def initialize(self) -> None:
        """Declares output stream and weights, and the order in which units come."""
        weights, bias = self.get_attr("dense")
        self.add_output_variable([bias.codes.size], precision=fixed_type(self.get_attr("logits")))
        order = update_order(self.get_attr("lstm"))
        add_codes(self, "head_number", order, max(1, int(order.max()).bit_length()))
        add_codes(self, "head_weight", weights)
        add_codes(self, "head_bias", QuantizedArray(bias.format, bias.codes[None]))


def hidden_core(position: int) -> str:
    """Name of the weights of a stage of W_h h."""
    return f"hidden_core_{position + 1}_"


def stage_attributes(node: FdhtLstm, position: int, schedule: Schedule) -> dict[str, Any]:
    """Attributes of the stage node at a position."""
    return {
        "lstm": node.get_attr("lstm"),
        "steps": node.get_attr("steps"),
        "position": position,
        "schedule": schedule.input[position],
    }


def cell_attributes(node: FdhtLstm, schedule: Schedule) -> dict[str, Any]:
    """Attributes of the cell node."""
    kept = ("lstm", "steps", "return_sequences", "stateful")
    return {**{key: node.get_attr(key) for key in kept}, "schedule": schedule.hidden}

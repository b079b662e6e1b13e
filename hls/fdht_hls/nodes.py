"""hls4ml graph nodes: one for the Keras layer, and those into which it is expanded.

A quantised layer becomes one `FdhtContraction` a stage and one `FdhtCell`: each a process of
hls4ml's DATAFLOW region, with its own types, weights and parallelism, joined by hls4ml's streams.
"""

from __future__ import annotations

from typing import ClassVar

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

from fdht_hls.engine import CellPlan, HeadPlan, StagePlan
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
        Attribute("plan", value_type=StagePlan),
        WeightAttribute("core"),
        TypeAttribute("core"),
    )

    def initialize(self) -> None:
        """Declares output stream and weights."""
        plan: StagePlan = self.get_attr("plan")
        words = [self.get_attr("steps"), plan.shape.words_out, plan.shape.word_out]
        self.add_output_variable(words, precision=fixed_type(plan.design.result))
        add_codes(self, "core", plan.rows)


class FdhtCell(Layer):
    """W_h h, gates and state."""

    #: Its arrays that are arguments of its C++ function, in their order; truth tables are others.
    ARRAYS: ClassVar[tuple[str, ...]] = ("bias", "position")

    _expected_attributes = (
        Attribute("steps"),
        Attribute("stateful", value_type=bool),
        Attribute("plan", value_type=CellPlan),
        Attribute("hidden", value_type=tuple),
        Attribute("streamed", value_type=bool, default=False),
        *(WeightAttribute(name) for name in ARRAYS),
        *(TypeAttribute(name) for name in ARRAYS),
    )

    def stream_units(self) -> None:
        """From now on each unit is a word of the output, in the order of `update_order`."""
        self.set_attr("streamed", True)
        plan: CellPlan = self.get_attr("plan")
        self.add_output_variable([plan.units, 1], precision=fixed_type(plan.hidden))

    def initialize(self) -> None:
        """Declares output stream, tables, and the cores of W_h."""
        plan: CellPlan = self.get_attr("plan")
        steps = self.get_attr("steps")
        result = [steps, plan.units] if self.get_attr("return_sequences") else [plan.units]
        self.add_output_variable(result, precision=fixed_type(plan.hidden))
        add_codes(self, "bias", plan.bias)
        positions = plan.positions
        add_codes(self, "position", positions, max(1, int(positions.max()).bit_length()))
        for name, table in plan.cell.tables.items():
            add_codes(self, name, table)
        for stage in self.get_attr("hidden"):
            add_codes(self, stage.identifier, stage.rows)


class FdhtHead(Layer):
    """A dense layer that adds up while its cell updates units; see `fdht_hls.parsing`."""

    #: Its arrays, in the order of its C++ function.
    ARRAYS: ClassVar[tuple[str, ...]] = ("head_number", "head_weight", "head_bias")

    _expected_attributes = (
        Attribute("plan", value_type=HeadPlan),
        Attribute("order", value_type=np.ndarray),
        *(WeightAttribute(name) for name in ARRAYS),
        *(TypeAttribute(name) for name in ARRAYS),
    )

    def initialize(self) -> None:
        """Declares output stream and weights, and the order in which units come."""
        plan: HeadPlan = self.get_attr("plan")
        order = self.get_attr("order")
        self.add_output_variable([plan.classes], precision=fixed_type(plan.logits))
        add_codes(self, "head_number", order, max(1, int(order.max()).bit_length()))
        add_codes(self, "head_weight", plan.weights)
        add_codes(self, "head_bias", plan.bias)

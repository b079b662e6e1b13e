"""The pass that joins a cell and the head behind it: units leave as they are updated.

hls4ml's dense layer takes all of h as one word. The cell would hold every unit back until it has
updated the last, and the dense layer would then go through all of them again. Our own head adds up
meanwhile. It replaces a dense layer that stands directly behind a cell, takes h of the last step
and keeps its sums exactly; any other stays hls4ml's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hls4ml.model.optimizer import OptimizerPass
from hls4ml.model.types import FixedPrecisionType

from fdht_hls.nodes import FdhtCell, FdhtHead
from fdht_models.tensor.arrays import QuantizedArray, exact_product_format, exact_sum_format
from fdht_models.tensor.fixedpoint import FixedPoint

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph


class StreamUnits(OptimizerPass):
    """Replaces a dense layer behind a cell by an FdhtHead; the cell then gives on single units."""

    def match(self, node: Any) -> bool:
        """Is this an exact dense layer behind a cell that serves nothing else?"""
        if node.class_name != "Dense" or len(node.inputs) != 1:
            return False
        cell = node.get_input_node()
        return (
            isinstance(cell, FdhtCell)
            and not cell.get_attr("return_sequences")
            and len(cell.get_output_nodes()) == 1
            and cell.name not in node.model.outputs
            and keeps_sums(node, cell)
        )

    def transform(self, model: ModelGraph, node: Any) -> bool:
        """Replaces one head; the graph has changed, so passes start again."""
        cell = node.get_input_node()
        cell.stream_units()
        attributes = {
            "lstm": cell.get_attr("lstm"),
            "dense": (quantized(node.weights["weight"]), quantized(node.weights["bias"])),
            "logits": format_of(node.get_output_variable().type.precision),
        }
        model.replace_node(node, model.make_node(FdhtHead, node.name, attributes, [*node.inputs]))
        return True


def keeps_sums(node: Any, cell: FdhtCell) -> bool:
    """Does a dense layer keep its sums without rounding or saturating any?"""
    types = [node.weights[name].type.precision for name in ("weight", "bias")]
    types.append(node.get_output_variable().type.precision)
    if not all(isinstance(one, FixedPrecisionType) for one in types):
        return False
    core, bias, result = map(format_of, types)
    hidden = cell.get_attr("lstm").cell.hidden
    product = exact_product_format(core, hidden, cell.get_attr("lstm").units)
    exact = exact_sum_format(product, bias)
    return result.signed and result.fraction >= exact.fraction and result.integer >= exact.integer


def format_of(precision: FixedPrecisionType) -> FixedPoint:
    """Our name of one of hls4ml's types."""
    return FixedPoint(precision.width, precision.fractional, bool(precision.signed))


def quantized(weights: Any) -> QuantizedArray:
    """The integers of a dense layer's weights."""
    form = format_of(weights.type.precision)
    return QuantizedArray(form, np.rint(weights.data / form.scale).astype(np.int64))

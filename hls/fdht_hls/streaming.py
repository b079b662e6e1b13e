"""The pass that joins a cell and the head behind it: units leave as they are updated.

hls4ml's dense layer takes all of h as one word. The cell would hold every unit back until it has
updated the last, and the dense layer would then go through all of them again. Our own head adds up
meanwhile. It replaces a dense layer that stands directly behind a cell and takes h of the last
step; any other stays hls4ml's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hls4ml.model.optimizer import OptimizerPass

from fdht_hls.engine import CellPlan, HeadPlan
from fdht_hls.exact import array_of, format_of
from fdht_hls.nodes import FdhtCell, FdhtHead
from fdht_models.tensor.arrays import QuantizedArray

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph


class StreamUnits(OptimizerPass):
    """Replaces a dense layer behind a cell by an FdhtHead; the cell then gives on single units."""

    def match(self, node: Any) -> bool:
        """Is this a dense layer behind a cell that serves nothing else?"""
        if node.class_name != "Dense" or len(node.inputs) != 1:
            return False
        cell = node.get_input_node()
        return (
            isinstance(cell, FdhtCell)
            and not cell.get_attr("return_sequences")
            and len(cell.get_output_nodes()) == 1
            and cell.name not in node.model.outputs
        )

    def transform(self, model: ModelGraph, node: Any) -> bool:
        """Replaces one head; the graph has changed, so passes start again."""
        cell = node.get_input_node()
        cell.stream_units()
        weights, bias = array_of(node, "weight"), array_of(node, "bias")
        own: CellPlan = cell.get_attr("plan")
        plan = HeadPlan(
            weights,
            QuantizedArray(bias.format, bias.codes[None]),
            own.hidden,
            format_of(node.get_output_variable().type.precision),
        )
        attributes = {"plan": plan, "order": own.order}
        model.replace_node(node, model.make_node(FdhtHead, node.name, attributes, [*node.inputs]))
        return True

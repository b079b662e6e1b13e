"""Where loaded weights go in hls4ml's graph: the C++ array behind each table of a layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fdht_hls.cpp_text import constant_type, extent
from fdht_hls.engine.engine_plan import BIAS, HEAD_BIAS, HEAD_WEIGHTS
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead
from fdht_hls.weight_tables import WeightLayout, WeightTable
from fdht_models.errors import ConversionError

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph


@dataclass(frozen=True)
class LoadedTable:
    """A C++ array that the core's top function fills.

    Args:
        variable: its name.
        type: of an entry.
        extent: its sizes, as `[4][8]`.
        table: of the buffer.
    """

    variable: str
    type: str
    extent: str
    table: WeightTable


def loaded_tables(model: ModelGraph, layout: WeightLayout | None) -> list[LoadedTable]:
    """The arrays of a graph that a layout fills, in its order.

    Raises:
        ConversionError: stages are to be loadable, and nothing says where their weights lie; or
            the head is not as the layout says.
    """
    arrays = _stage_arrays(model)
    if layout is None:
        if arrays:
            raise ConversionError(
                "loadable weights need a layout",
                field="schedule",
                remedy="convert with fdht_hls.conversion_model.convert",
            )
        return []
    arrays |= _other_arrays(model)
    return [_loaded(table, arrays[table.name]) for table in layout.tables]


def _loaded(table: WeightTable, weights: Any) -> LoadedTable:
    width = weights.type.precision.width
    if (width, weights.data.shape) != (table.width, (table.rows, table.columns)):
        raise ConversionError(
            f"needs {table.rows} x {table.columns} codes of {table.width} bits to be loadable",
            field=weights.name,
            value=f"{' x '.join(map(str, weights.data.shape))} of {width} bits",
        )
    return LoadedTable(weights.name, constant_type(weights), extent(weights), table)


def _stage_arrays(model: ModelGraph) -> dict[str, Any]:
    """Arrays of loadable stages by the names of their tables."""
    found = {}
    for layer in model.get_layers():
        if isinstance(layer, FdhtContraction) and layer.get_attr("plan").loadable:
            found[layer.get_attr("plan").name] = layer.get_weights("core")
        if isinstance(layer, FdhtCell):
            for stage in layer.get_attr("hidden"):
                if stage.loadable:
                    found[stage.name] = layer.get_weights(stage.identifier)
    return found


def _other_arrays(model: ModelGraph) -> dict[str, Any]:
    """Arrays of bias and head.

    Raises:
        ConversionError: a dense layer is hls4ml's own.
    """
    found = {}
    for layer in model.get_layers():
        if isinstance(layer, FdhtCell):
            found[BIAS] = layer.get_weights("bias")
        elif isinstance(layer, FdhtHead):
            found[HEAD_WEIGHTS] = layer.get_weights("head_weight")
            found[HEAD_BIAS] = layer.get_weights("head_bias")
        elif layer.class_name == "Dense":
            raise ConversionError(
                "only the weights of a dense layer directly behind the cell can be loaded",
                field=layer.name,
                remedy="end the model with that layer, or use no loadable stage",
            )
    return found

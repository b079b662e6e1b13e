"""From a Keras model to hls4ml's graph: the layer handler and the passes that expand it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hls4ml.model.optimizer import OptimizerPass

from fdht_hls.accepted import is_free_name
from fdht_hls.engine import CellPlan, EnginePlan, HeadPlan, StagePlan, stage_plans
from fdht_hls.exact import array_of, format_of
from fdht_hls.nodes import (
    FdhtCell,
    FdhtContraction,
    FdhtHead,
    FdhtLstm,
    fixed_type,
)
from fdht_hls.registers import BY_NAME
from fdht_hls.schedule import Schedule, check_schedule, default_schedule
from fdht_hls.shapes import rounded_formats
from fdht_models.errors import ConfigError, ConversionError
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.quantized import QuantizedRecurrence

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph

#: Key of hls4ml's configuration under which the plan of a core stands.
PLAN = "EnginePlan"
#: What the core's top function and its loop call something else: ports and variables. hls4ml names
#: the first stream as the user named the input layer.
TAKEN_NAMES = {
    *(*BY_NAME, "frame", "done", "begins", "stale", "weights_id", "frame_memory_words", "faults"),
    *(
        "whole",
        "chosen",
        "i",
        "frame_heads",
        "frame_items",
        "frame_units",
        "frame_verdicts",
        "frame_kept",
    ),
}


def parse_layer(
    keras_layer: dict[str, Any],
    input_names: Sequence[str] | None,
    input_shapes: Sequence[Sequence[int | None]],
    reader: Any,
) -> tuple[dict[str, Any], list[int | None]]:
    """hls4ml's handler of our quantised layers.

    The input must be [batch, time, fibres, n_d]: its last axis becomes a word of the stream.

    Raises:
        ConversionError: the input has another shape, or the model is not at hand.
    """
    from fdht_models.layers.export import export_recurrence

    config = keras_layer["config"]
    name = config["name"]
    if not hasattr(reader, "model"):
        raise ConversionError(
            "needs the Keras model itself, not a file",
            field=name,
            remedy="call hls4ml.converters.convert_from_keras_model(model, ...)",
        )
    layer = reader.model.get_layer(name)
    modes = layer.shape.input_modes
    batch, steps, *frame = input_shapes[0]
    expected = [math.prod(modes[:-1]), modes[-1]]
    if steps is None or list(frame) != expected:
        raise ConversionError(
            f"hls4ml needs a fixed number of time steps and frames of {expected[0]} fibres of "
            f"{expected[1]} values",
            field=f"{name}.input_shape",
            value=list(input_shapes[0]),
            remedy=f"build the model with Input((steps, {expected[0]}, {expected[1]}))",
        )
    plan: EnginePlan | None = getattr(reader.model, "plan", None)
    lstm = plan.cell.recurrence if plan else export_recurrence(layer)
    _refuse_unsigned(lstm, name)
    attributes: dict[str, Any] = {
        "class_name": "FdhtLstm",
        "name": name,
        "lstm": lstm,
        "steps": int(steps),
        "return_sequences": bool(config["return_sequences"]),
        "stateful": bool(config["stateful"]),
    }
    if input_names is not None:
        attributes["inputs"] = input_names
    shape = [batch, int(steps)] if attributes["return_sequences"] else [batch]
    return attributes, [*shape, lstm.units]


def _refuse_unsigned(lstm: QuantizedRecurrence, name: str) -> None:
    """Raises ConversionError for an unsigned state or intermediate: the kernels round to signed."""
    for quantizer, format in rounded_formats(lstm).items():
        if not format.signed:
            raise ConversionError(
                "must be signed in hardware",
                field=f"{name}.quantizers.{quantizer}",
                value=str(format),
                remedy="use a quantized_bits with keep_negative=True",
            )


def chosen_schedule(model: ModelGraph, recurrence: QuantizedRecurrence) -> Schedule:
    """The schedule that the caller of the backend gave, or the default.

    Raises:
        ConfigError: it is of another network, or for raw frames, of whose feature nothing is known.
    """
    given = model.config.get_config_value("Schedule")
    if given is None:
        return default_schedule(recurrence)
    schedule = Schedule.from_json(given)
    check_schedule(recurrence, schedule)
    if schedule.raw:
        raise ConfigError(
            "the core computes the feature of a network, and a layer alone does not tell which",
            field="schedule.frames",
            value=schedule.frames,
            remedy="use fdht convert --feature chip",
        )
    return schedule


def _refuse_fibres_at_once(*paths: Sequence[StagePlan]) -> None:
    """Raises ConversionError where a path's first stage takes several fibres: RTL alone does."""
    for label, (first, *_) in zip(("input", "hidden"), paths, strict=True):
        if first.schedule.vectors > 1:
            raise ConversionError(
                "the core in C++ takes fibres one by one; its port of 8 bytes brings no more",
                field=f"schedule.{label}[0].vectors",
                value=first.schedule.vectors,
                remedy="use 1 here, or the core in RTL (fdht cosim)",
            )


def stream_name(name: str) -> str:
    """The C++ variable of an input layer: its name, if nothing of the project may be called so.

    Names of hls4ml's variables end in numbers.
    """
    if is_free_name(name) and name not in TAKEN_NAMES and re.search(r"\d", name) is None:
        return name
    return f"in_{re.sub(r'[^A-Za-z0-9]+', '_', name)}_stream"


class ExpandFdhtLstm(OptimizerPass):
    """Replaces an FdhtLstm node by its stages and its cell."""

    def match(self, node: Any) -> bool:
        """Is this an unexpanded layer?"""
        return isinstance(node, FdhtLstm)

    def transform(self, model: ModelGraph, node: FdhtLstm) -> bool:
        """Expands one node; the graph has changed, so passes start again."""
        lstm: QuantizedRecurrence = node.get_attr("lstm")
        source = node.get_input_node()
        if source.class_name != "Input":
            raise ConversionError(
                "must be the first layer: frames are streamed into it",
                field=node.name,
                value=source.class_name,
                remedy="convert the model from its quantised input on (codes / 2**fraction)",
            )
        plan = model.config.get_config_value(PLAN)
        if plan is not None:
            stages, hidden, cell_plan = plan.input, plan.hidden, plan.cell
        else:
            stages, hidden = stage_plans(lstm, chosen_schedule(model, lstm))
            cell_plan = CellPlan(lstm)
        _refuse_fibres_at_once(stages, hidden)
        frame = source.get_output_variable()
        frame.type.precision = fixed_type(lstm.input_format)
        frame.name = stream_name(frame.name)
        previous = node.inputs[0]
        for stage in stages:
            attributes: dict[str, Any] = {"steps": node.get_attr("steps"), "plan": stage}
            name = f"{node.name}_{stage.identifier}"
            new = model.make_node(FdhtContraction, name, attributes, [previous])
            model.insert_node(new, before=node)
            previous = name
        kept = ("steps", "return_sequences", "stateful")
        attributes = {key: node.get_attr(key) for key in kept}
        attributes |= {"plan": cell_plan, "hidden": hidden}
        cell = model.make_node(FdhtCell, f"{node.name}_cell", attributes, [previous])
        model.replace_node(node, cell)
        return True


class StreamUnits(OptimizerPass):
    """Replaces a dense layer behind a cell by an FdhtHead; the cell then gives on single units.

    hls4ml's dense layer takes all of h as one word. The cell would hold every unit back until it
    has updated the last, and the dense layer would then go through all of them again. Our own head
    adds up meanwhile. It replaces a dense layer that stands directly behind a cell and takes h of
    the last step; any other stays hls4ml's.
    """

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

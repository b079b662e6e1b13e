"""The hls4ml writer `FDHT`: hls4ml's Vitis project, and beside it the IP core `fdht_lstm`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from hls4ml.writer.vitis_writer import VitisWriter

from fdht_hls.adders import AdderGraph
from fdht_hls.cpp_text import cell_call, constant_type, placed_call, places_of, render
from fdht_hls.engine.contractions import QUEUE_WORDS, StagePlan
from fdht_hls.engine.engine_plan import BIAS, HEAD_BIAS, HEAD_WEIGHTS, EnginePlan
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead
from fdht_hls.parsing import PLAN
from fdht_hls.registers import (
    ABI_VERSION,
    ARGUMENT_REGISTERS,
    BY_NAME,
    IDENTITY_REGISTERS,
    present,
)
from fdht_hls.weight_tables import WeightLayout, WeightTable
from fdht_models.artifacts import write_text
from fdht_models.errors import ConversionError
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES
from fdht_models.tensor.sparse_frames import CORE_FRAMES

if TYPE_CHECKING:  # hls4ml loads this plug-in while its own graph is half imported
    from hls4ml.model.graph import ModelGraph

#: Files of the core, template by template.
_FILES = {
    "fdht_lstm.h.j2": "firmware/fdht_lstm.h",
    "fdht_lstm.cpp.j2": "firmware/fdht_lstm.cpp",
    "fdht_csim.cpp.j2": "fdht_csim.cpp",
    "fdht_testbench.cpp.j2": "fdht_testbench.cpp",
    "build_core.tcl.j2": "build_core.tcl",
    "target.json.j2": "target.json",
}


class FdhtWriter(VitisWriter):
    """Writes the project. The core holds its weights and reads frames from memory."""

    #: Weight arrays of our nodes; others are hls4ml's, whatever their types.
    _own: frozenset[str] = frozenset()
    #: Weight arrays that can be loaded.
    _loadable: frozenset[str] = frozenset()
    #: What takes the place of multipliers, by the names of weight arrays.
    _adders: Mapping[str, AdderGraph] = MappingProxyType({})

    def print_array_to_cpp(
        self, var: Any, odir: str, namespace: str | None = None, write_txt_file: bool = True
    ) -> None:
        """Writes a weight array: ours as constants of plain integers, hls4ml's as hls4ml does."""
        if var.name not in self._own:
            super().print_array_to_cpp(var, odir, namespace, write_txt_file)
            return
        codes = np.rint(var.data).astype(np.int64)
        text = render(
            "weights.h.j2",
            name=var.name,
            type=constant_type(var),
            codes=codes,
            loadable=var.name in self._loadable,
            adders=self._adders.get(var.name),
        )
        write_text(Path(odir) / "firmware" / "weights" / f"{var.name}.h", text)

    def write_yml(self, model: ModelGraph) -> None:
        """Writes hls4ml's configuration; the plan in it is no text."""
        plan = model.config.config.pop(PLAN, None)
        super().write_yml(model)
        model.config.config[PLAN] = plan

    def write_hls(self, model: ModelGraph) -> None:
        """Writes hls4ml's project, then the core's files from their templates.

        A model of several time steps has hls4ml's own top function and no core, unless there is
        a plan, which only a core has.

        Raises:
            ConversionError: a core is wanted and the model does not fit it.
        """
        plan = model.config.get_config_value(PLAN)
        core = plan is not None or one_frame_a_call(model)
        tables = loaded_tables(model, plan.layout if plan else None) if core else []
        self._loadable = frozenset(table.array.name for table in tables)
        self._adders = {
            weights.name: stage.adders for stage, weights in _stages(model) if stage.adders
        }
        self._own = frozenset(
            weights.name
            for layer in model.get_layers()
            if isinstance(layer, (FdhtContraction, FdhtCell, FdhtHead))
            for weights in layer.get_weights()
        )
        super().write_hls(model)
        if not core:
            return
        values = core_values(model, plan, tables)
        directory = Path(model.config.get_output_dir())
        for template, name in _FILES.items():
            write_text(directory / name, render(template, **values))


def one_frame_a_call(model: ModelGraph) -> bool:
    """Does the graph take single frames and give one word of results for each?"""
    frames = [variable.shape[0] for variable in model.get_input_variables()]
    results = [len(variable.shape) for variable in model.get_output_variables()]
    return frames == [1] and results == [1]


def core_values(
    model: ModelGraph, plan: EnginePlan | None, tables: Sequence[LoadedTable]
) -> dict[str, Any]:
    """What the templates of the core need.

    Args:
        model: hls4ml's graph.
        plan: of the core; None if nobody made one.
        tables: where weights that can be loaded go.

    Raises:
        ConversionError: the graph is not one stream of frames in and one word of results out.
    """
    inputs, outputs = model.get_input_variables(), model.get_output_variables()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError(
            "the core has one input and one output",
            field="model",
            value=f"{len(inputs)} inputs, {len(outputs)} outputs",
        )
    frame, result = inputs[0], outputs[0]
    if not one_frame_a_call(model):
        raise ConversionError(
            "the core runs one frame at a time: one time step, no return_sequences",
            field="model",
            value=f"input {list(frame.shape)}, output {list(result.shape)}",
            remedy="convert with one time step and stateful=True",
        )
    if result.type.precision.width > 8 * LOGIT_BYTES:
        raise ConversionError(
            f"a result holds {8 * LOGIT_BYTES} bits",
            field=result.name,
            value=str(result.type.precision),
        )
    _, fibres, fibre = frame.shape
    frame_words = -(-fibres * fibre // WORD_BYTES)
    skips = any(stage.get_attr("plan").coming is not None for stage in _contractions(model))
    raw = plan is not None and plan.raw
    sparse = skips and not raw
    kinds: dict[str, Any] = {
        "loadable": bool(tables),
        "frames": "raw" if raw else "sparse" if sparse else "dense",
        "contexts": plan.contexts if plan else 1,
    }
    part = model.config.get_config_value("Part")
    return {
        "project": model.config.get_project_name(),
        "frame": frame,
        "result": result,
        "fibres": fibres,
        "whole_words": fibre % WORD_BYTES == 0,
        "frame_words": frame_words,
        "most_words": frame_words + sparse,  # with a header
        "result_words": -(-result.shape[0] * LOGIT_BYTES // WORD_BYTES),
        "sparse": sparse,
        "raw": raw,
        "core_frames": CORE_FRAMES.index(kinds["frames"]),
        "contexts": kinds["contexts"],
        "dead_zone": plan.design.dead_zone if plan else 0,
        "units": _unit_values(frame_words, fibre) if skips else None,
        "streams": list(_streams(model, skips)),
        "calls": list(_calls(model, skips, "context" if kinds["contexts"] > 1 else "0")),
        "abi_version": ABI_VERSION,
        "design_id": plan.design.design_id if plan else 0,
        "registers": BY_NAME,
        "arguments": [one.name for one in present(ARGUMENT_REGISTERS, **kinds)],
        "identity": {
            one.name: IDENTITY_REGISTERS.index(one) for one in present(IDENTITY_REGISTERS, **kinds)
        },
        "identity_words": len(IDENTITY_REGISTERS),
        "tables": tables,
        "weight_words": plan.layout.words if plan and plan.layout else 0,
        "weights_layout": plan.layout.digest if plan and plan.layout else 0,
        "part": part,
        "clock_period": model.config.get_config_value("ClockPeriod"),
    }


def _stages(model: ModelGraph) -> Iterator[tuple[StagePlan, Any]]:
    """All stages of a graph, each with the array of its weights."""
    for layer in model.get_layers():
        if isinstance(layer, FdhtContraction):
            yield layer.get_attr("plan"), layer.get_weights("core")
        elif isinstance(layer, FdhtCell):
            for stage in layer.get_attr("hidden"):
                yield stage, layer.get_weights(stage.identifier)


def _unit_values(frame_words: int, fibre: int) -> dict[str, int]:
    """Words of a unit, which is whole words and whole fibres, and units of a frame."""
    words = math.lcm(fibre, WORD_BYTES) // WORD_BYTES
    return {"unit_words": words, "units": -(-frame_words // words)}


def _streams(model: ModelGraph, skips: bool) -> Iterator[dict[str, str]]:
    """Streams between two processes of the core: C++ declarations and pragmas.

    Words that come into a stage of W_x x have their places in a stream of their own, if not all do.
    """
    for layer in model.get_layers():
        # Between processes of ours; hls4ml's own take its own types only.
        ours = layer.class_name == "Input" or isinstance(layer, FdhtContraction)
        ours |= isinstance(layer, FdhtCell) and layer.get_attr("streamed")
        for variable in layer.get_variables():
            _, depth = variable.pragma
            type = variable.type.name
            carried = f"fdht::carried<{type}>::type" if ours else type
            yield _stream(carried, variable.name, depth)
    for stage in _contractions(model) if skips else ():
        variable = stage.get_input_variable()
        lengths = ", ".join(map(str, stage.get_attr("plan").coming or (1,)))
        yield _stream(f"fdht::place<{lengths}>", places_of(variable), variable.pragma[1])


def _stream(type: str, name: str, depth: int) -> dict[str, str]:
    return {
        "definition": f'hls::stream<{type}> {name}("{name}")',
        "pragma": f"#pragma HLS STREAM variable={name} depth={min(depth, QUEUE_WORDS)}",
    }


def _contractions(model: ModelGraph) -> list[FdhtContraction]:
    """The stages of W_x x, in the order of the data."""
    return [layer for layer in model.get_layers() if isinstance(layer, FdhtContraction)]


def _calls(model: ModelGraph, skips: bool, context: str) -> Iterator[Mapping[str, str | None]]:
    """Processes of the core: C++ calls, and how proofs look at the streams of results."""
    stages = _contractions(model)
    for layer in model.get_layers():
        if isinstance(layer, FdhtCell):
            yield {"text": cell_call(layer, "reset_state", "frame", context), "observed": None}
            continue
        if skips and isinstance(layer, FdhtContraction):
            yield placed_call(layer, is_last=layer is stages[-1])
            continue
        text = layer.get_attr("function_cpp")
        ours = isinstance(layer, FdhtContraction)
        for one in [text] if isinstance(text, str) else text or ():
            name = layer.get_output_variable().name
            yield {"text": one, "observed": f"fdht::observe({name});" if ours else None}


@dataclass(frozen=True)
class LoadedTable:
    """A C++ array that the core's top function fills.

    Args:
        array: hls4ml's weight array.
        table: of the buffer.
    """

    array: Any
    table: WeightTable


def loaded_tables(model: ModelGraph, layout: WeightLayout | None) -> list[LoadedTable]:
    """The arrays of a graph that a layout fills, in its order.

    Raises:
        ConversionError: stages are to be loadable, and nothing says where their weights lie; or
            the head is not as the layout says.
    """
    arrays = {stage.name: weights for stage, weights in _stages(model) if stage.loadable}
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
    return LoadedTable(weights, table)


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

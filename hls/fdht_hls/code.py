"""The C++ text of our nodes: configuration structs and function calls, from Jinja templates."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate

from fdht_hls.beats import beat_constants
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead, hidden_core
from fdht_hls.schedule import StageSchedule
from fdht_hls.shapes import StageShape, collects, emission_order, stage_shape
from fdht_models.errors import ConversionError
from fdht_models.tensor.cells.operations import (
    Complement,
    Former,
    Lookup,
    Product,
    Round,
    Source,
    Sum,
)
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence

_DIRECTORY = Path(__file__).parent / "templates"


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_DIRECTORY),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, **values: Any) -> str:
    """Renders a template of this package."""
    return environment().get_template(template).render(**values)


def stage_values(
    lstm: QuantizedRecurrence, path: ContractionPath, position: int, schedule: StageSchedule
) -> dict[str, Any]:
    """What the configuration of a stage states."""
    accumulator = lstm.accumulator_format(path, position)
    exact = position == len(path.formats)
    shift = 0 if exact else accumulator.fraction - path.formats[position].fraction
    shape = stage_shape(path, position)
    return {
        **asdict(shape),
        **beat_constants(shape, schedule),
        "result_width": accumulator.width if exact else path.formats[position].width,
        "accumulator_width": accumulator.width,
        "shift": shift,
        "exact": exact,
    }


def cell_values(recurrence: QuantizedRecurrence) -> dict[str, int]:
    """What the configuration of a cell states of its size."""
    order = emission_order(recurrence.input_path)
    return {
        "units": recurrence.units,
        "gates": len(recurrence.cell.gates),
        "groups": order.shape[0],
        "width": order.shape[1],
        "rows": order.size,
        "fibre": hidden_fibre(recurrence),
        "hidden_width": recurrence.cell.hidden.width,
    }


def update_lines(node: FdhtCell) -> list[dict[str, Any]]:
    """What is computed for a unit: a variable a step of the cell's program."""
    recurrence: QuantizedRecurrence = node.get_attr("lstm")
    program, gates = recurrence.cell_program, recurrence.cell.gates
    lines = []
    for step in program.steps:
        kind = f"fdht::integer<{step.format.signed_width}>::type"
        parts, names = program.operands(step), step.operands
        match step.operation:
            case Source() as source:
                value = f"sums.{type(source).__name__.lower()}[{gates.index(source.gate)}]"
            case Former(state):
                value = f"state.{state}[unit]"
            case Sum():
                shifts = (step.format.fraction - part.format.fraction for part in parts)
                aligned = (
                    f"fdht::scale_up<{shift}>({kind}({name}))"
                    for shift, name in zip(shifts, names, strict=True)
                )
                value = " + ".join(aligned)
            case Product():
                value = f"fdht::product<{kind}>({', '.join(names)})"
            case Complement():
                value = f"({kind}(1) << {step.format.fraction}) - {names[0]}"
            case Round():
                exact, result = parts[0].format, step.format
                sizes = (exact.signed_width, exact.fraction - result.fraction, result.width)
                value = f"fdht::round_saturate<{', '.join(map(str, sizes))}>({names[0]})"
            case Lookup(_, table):
                index = f"fdht::table_index<{parts[0].format.width}>({names[0]})"
                value = f"{node.get_weights(table).name}[{index}]"
            case _:
                raise ConversionError("has no hardware", field="operation", value=step.name)
        lines.append({"name": step.name, "bits": step.format.signed_width, "value": value})
    return lines


def hidden_fibre(recurrence: QuantizedRecurrence) -> int:
    """Hidden units in a word of W_h's input: what its first stage reads as one vector."""
    first = stage_shape(recurrence.hidden_path, 0)
    return first.mode if first.fibre else first.rank_in


def adders_name(weights: Any) -> str:
    """C++ name of the graph of adders for one of our weight arrays."""
    return f"{weights.name}_adders"


def extent(weights: Any) -> str:
    """Sizes of one of our weight arrays as C++ declares them."""
    return "".join(f"[{size}]" for size in weights.data.shape)


def constant_type(weights: Any) -> str:
    """C++ type of the entries of one of our weight arrays."""
    precision = weights.type.precision
    return f"fdht::constant<{precision.width}, {str(bool(precision.signed)).lower()}>::type"


def kernel_of(shape: StageShape, schedule: StageSchedule) -> str:
    """The function of fdht_contraction.h that does a stage."""
    if shape.fibre:
        return "contract_fibre"
    return "contract_mode_groups" if schedule.words_at_once(shape) > 1 else "contract_mode"


def hidden_stages(node: FdhtCell) -> list[dict[str, Any]]:
    """Stages of W_h h with the types of what they emit."""
    lstm: QuantizedRecurrence = node.get_attr("lstm")
    path = lstm.hidden_path
    stages = []
    for position in range(len(path.plan.stages)):
        exact = position == len(path.formats)
        format = lstm.accumulator_format(path, position) if exact else path.formats[position]
        shape = stage_shape(path, position)
        schedule: StageSchedule = node.get_attr("schedule")[position]
        weights = node.get_weights(hidden_core(position))
        stages.append(
            {
                **stage_values(lstm, path, position, schedule),
                "kernel": kernel_of(shape, schedule),
                "weights": weights.name,
                "adders": adders_name(weights) if schedule.weights == "adders" else None,
                "loadable": schedule.weights == "loadable",
                "weight_extent": extent(weights),
                "weight_t": constant_type(weights),
                "result": format.hls_type,
                "words_out": shape.words_out,
                "word_out": shape.word_out,
            }
        )
    return stages


class ContractionConfig(LayerConfigTemplate):
    """`struct configN` of a contraction stage."""

    def __init__(self) -> None:
        super().__init__(FdhtContraction)

    def format(self, node: FdhtContraction) -> str:
        """The C++ text."""
        lstm = node.get_attr("lstm")
        return render(
            "contraction_config.h.j2",
            name=f"config{node.index}",
            frames=node.get_attr("steps"),
            weight_t=constant_type(node.get_weights("core")),
            adders=adders_name(node.get_weights("core"))
            if node.get_attr("schedule").weights == "adders"
            else None,
            **stage_values(
                lstm, lstm.input_path, node.get_attr("position"), node.get_attr("schedule")
            ),
        )


class ContractionCall(FunctionCallTemplate):
    """The call of a contraction stage."""

    def __init__(self) -> None:
        super().__init__(FdhtContraction, include_header=["nnet_utils/fdht_contraction.h"])

    def format(self, node: FdhtContraction) -> str:
        """The C++ text."""
        values = self._default_function_params(node)
        kernel = kernel_of(node.get_attr("shape"), node.get_attr("schedule"))
        return (
            f"fdht::{kernel}<{values['config']}>"
            f"({values['input']}, {values['output']}, {node.get_weights('core').name});"
        )


class CellConfig(LayerConfigTemplate):
    """`struct configN` of a cell, with the contraction of W_h h."""

    def __init__(self) -> None:
        super().__init__(FdhtCell)

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        recurrence: QuantizedRecurrence = node.get_attr("lstm")
        return render(
            "cell_config.h.j2",
            name=f"config{node.index}",
            kind=recurrence.cell.kind,
            frames=node.get_attr("steps"),
            stateful=node.get_attr("stateful"),
            every_step=node.get_attr("return_sequences"),
            streamed=node.get_attr("streamed"),
            hidden=recurrence.cell.hidden,
            projected=recurrence.accumulator_format(recurrence.input_path, -1),
            recurrent=recurrence.accumulator_format(recurrence.hidden_path, -1),
            bias=recurrence.cell.bias.format,
            types={name: constant_type(node.get_weights(name)) for name in node.ARRAYS},
            stages=hidden_stages(node),
            values=cell_values(recurrence),
            states={name: recurrence.cell.formats[name] for name in recurrence.cell_program.states},
            program=recurrence.cell_program,
            update=update_lines(node),
        )


class HeadConfig(LayerConfigTemplate):
    """`struct configN` of a head."""

    def __init__(self) -> None:
        super().__init__(FdhtHead)

    def format(self, node: FdhtHead) -> str:
        """The C++ text."""
        weights, bias = node.get_attr("dense")
        result = node.get_attr("logits")
        product = weights.format.fraction + node.get_attr("lstm").cell.hidden.fraction
        return render(
            "head_config.h.j2",
            name=f"config{node.index}",
            units=weights.codes.shape[0],
            classes=weights.codes.shape[1],
            sum_width=result.width,
            product_shift=result.fraction - product,
            bias_shift=result.fraction - bias.format.fraction,
            types={name: constant_type(node.get_weights(name)) for name in node.ARRAYS},
        )


class HeadCall(FunctionCallTemplate):
    """The call of a head."""

    def __init__(self) -> None:
        super().__init__(FdhtHead, include_header=["nnet_utils/fdht_head.h"])

    def format(self, node: FdhtHead) -> str:
        """The C++ text."""
        values = self._default_function_params(node)
        arrays = ", ".join(node.get_weights(name).name for name in node.ARRAYS)
        return f"fdht::head<{values['config']}>({values['input']}, {values['output']}, {arrays});"


class CellCall(FunctionCallTemplate):
    """The call of a cell; in hls4ml's own top function nothing resets the state."""

    def __init__(self) -> None:
        super().__init__(FdhtCell, include_header=["nnet_utils/fdht_cell.h"])

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        return self.call(node, "false", "0")

    def call(self, node: FdhtCell, reset_state: str, frame: str) -> str:
        """The call with arguments for `reset_state` and the number of the frame in it.

        Weights of W_h h that can be loaded are arguments, too.
        """
        values = self._default_function_params(node)
        recurrence: QuantizedRecurrence = node.get_attr("lstm")
        collected = "_collected" if collects(recurrence) else ""
        loadable = [
            hidden_core(position)
            for position, stage in enumerate(node.get_attr("schedule"))
            if stage.weights == "loadable"
        ]
        arrays = ", ".join(node.get_weights(name).name for name in (*node.ARRAYS, *loadable))
        return (
            f"fdht::cell{collected}<{values['config']}>"
            f"({values['input']}, {values['output']}, {reset_state}, {frame}, {arrays});"
        )

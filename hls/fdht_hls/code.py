"""The C++ text of our nodes: configuration structs and function calls, from Jinja templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate

from fdht_hls.beats import beat_constants
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead, hidden_core
from fdht_hls.schedule import StageSchedule
from fdht_hls.shapes import StageShape, collects, emission_order, stage_shape
from fdht_models.errors import ConversionError
from fdht_models.rendering import templates
from fdht_models.tensor.cells import GruCell, LstmCell
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence

_DIRECTORY = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Renders a template of this package."""
    return templates(_DIRECTORY).get_template(template).render(**values)


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


def cell_values(recurrence: QuantizedRecurrence) -> dict[str, Any]:
    """What the configuration of a cell states: widths, and shifts that align binary points."""
    cell, sums = recurrence.cell, recurrence.sums
    order = emission_order(recurrence.input_path)
    values = {
        "units": recurrence.units,
        "groups": order.shape[0],
        "width": order.shape[1],
        "rows": order.size,
        "fibre": hidden_fibre(recurrence),
        "preactivation_width": cell.preactivation.width,
        "hidden_width": cell.hidden.width,
        "sum_width": sums["preactivation"].width,
        "preactivation_shift": sums["preactivation"].fraction - cell.preactivation.fraction,
        **_alignment(recurrence, sums["preactivation"], ("input", "hidden", "bias")),
    }
    if isinstance(cell, LstmCell):
        return values | _lstm_values(cell, sums)
    if isinstance(cell, GruCell):
        return values | _gru_values(recurrence, cell, sums)
    raise ConversionError("has no hardware", field="cell", value=cell.kind, remedy="use an LSTM")


def _alignment(
    recurrence: QuantizedRecurrence, total: FixedPoint, parts: tuple[str, ...]
) -> dict[str, int]:
    """Shifts that bring parts of a sum to its binary point."""
    fractions = {
        "input": recurrence.accumulator_format(recurrence.input_path, -1).fraction,
        "hidden": recurrence.accumulator_format(recurrence.hidden_path, -1).fraction,
        "bias": recurrence.cell.bias.format.fraction,
    }
    return {f"{part}_shift": total.fraction - fractions[part] for part in parts}


def _lstm_values(cell: LstmCell, sums: Mapping[str, FixedPoint]) -> dict[str, Any]:
    total, product, gate = sums["cell"], sums["hidden"], cell.gate.format.fraction
    return {
        "cell_width": cell.cell.width,
        "cell_sum_width": total.width,
        "forget_shift": total.fraction - gate - cell.cell.fraction,
        "update_shift": total.fraction - gate - cell.candidate.format.fraction,
        "cell_shift": total.fraction - cell.cell.fraction,
        "product_width": product.width,
        "product_shift": product.fraction - cell.hidden.fraction,
    }


def _gru_values(
    recurrence: QuantizedRecurrence, cell: GruCell, sums: Mapping[str, FixedPoint]
) -> dict[str, Any]:
    argument, total, gate = sums["candidate"], sums["hidden"], cell.gate.format.fraction
    aligned = _alignment(recurrence, argument, ("input", "bias"))
    return {
        **{f"candidate_{name}": shift for name, shift in aligned.items()},
        "recurrent_sum_width": sums["recurrent"].width,
        "recurrent_width": cell.recurrent.width,
        "recurrent_shift": sums["recurrent"].fraction - cell.recurrent.fraction,
        "candidate_sum_width": argument.width,
        "candidate_product_shift": argument.fraction - gate - cell.recurrent.fraction,
        "candidate_shift": argument.fraction - cell.preactivation.fraction,
        "gate_fraction": gate,
        "hidden_sum_width": total.width,
        "fresh_shift": total.fraction - gate - cell.candidate.format.fraction,
        "kept_shift": total.fraction - gate - cell.hidden.fraction,
        "hidden_result_shift": total.fraction - cell.hidden.fraction,
    }


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
            types={name: constant_type(node.get_weights(name)) for name in node.arrays},
            stages=hidden_stages(node),
            values=cell_values(recurrence),
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
        headers = ("fdht_lstm.h", "fdht_lstm_collected.h", "fdht_gru.h")
        super().__init__(FdhtCell, include_header=[f"nnet_utils/{name}" for name in headers])

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        return self.call(node, "false", "0")

    def call(self, node: FdhtCell, reset_state: str, frame: str) -> str:
        """The call with arguments for `reset_state` and the number of the frame in it.

        Weights of W_h h that can be loaded are arguments, too.
        """
        values = self._default_function_params(node)
        recurrence: QuantizedRecurrence = node.get_attr("lstm")
        kind = recurrence.cell.kind
        collected = "_collected" if kind == "lstm" and collects(recurrence) else ""
        loadable = [
            hidden_core(position)
            for position, stage in enumerate(node.get_attr("schedule"))
            if stage.weights == "loadable"
        ]
        arrays = ", ".join(node.get_weights(name).name for name in (*node.arrays, *loadable))
        return (
            f"fdht::{kind}_cell{collected}<{values['config']}>"
            f"({values['input']}, {values['output']}, {reset_state}, {frame}, {arrays});"
        )

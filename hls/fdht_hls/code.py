"""The C++ text of our nodes: configuration structs and function calls, from Jinja templates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate

from fdht_hls.engine import CellPlan, StagePlan
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead
from fdht_models.errors import ConversionError
from fdht_models.tensor.cells import GruCell, LstmCell
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedRecurrence

_DIRECTORY = Path(__file__).parent / "templates"


@cache
def environment() -> jinja2.Environment:
    """Templates of this package; an undefined name is an error."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_DIRECTORY),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for own in (adders_name, constant_type, extent):
        found.filters[own.__name__] = own
    return found


def render(template: str, **values: Any) -> str:
    """Renders a template of this package."""
    return environment().get_template(template).render(**values)


def cell_values(plan: CellPlan, fibre: int) -> dict[str, Any]:
    """What the configuration of a cell states: widths, and shifts that align binary points.

    Args:
        plan: the cell.
        fibre: hidden units in a word of what the first stage of W_h h reads.
    """
    recurrence = plan.recurrence
    cell, sums = recurrence.cell, recurrence.sums
    values = {
        "units": plan.units,
        "groups": plan.arrival.shape[0],
        "width": plan.arrival.shape[1],
        "rows": plan.arrival.size,
        "fibre": fibre,
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


class ContractionConfig(LayerConfigTemplate):
    """`struct configN` of a contraction stage."""

    def __init__(self) -> None:
        super().__init__(FdhtContraction)

    def format(self, node: FdhtContraction) -> str:
        """The C++ text."""
        return render(
            "contraction_config.h.j2",
            name=f"config{node.index}",
            frames=node.get_attr("steps"),
            stage=node.get_attr("plan"),
            weights=node.get_weights("core"),
        )


class ContractionCall(FunctionCallTemplate):
    """The call of a contraction stage."""

    def __init__(self) -> None:
        super().__init__(FdhtContraction, include_header=["nnet_utils/fdht_contraction.h"])

    def format(self, node: FdhtContraction) -> str:
        """The C++ text."""
        values = self._default_function_params(node)
        return (
            f"fdht::{node.get_attr('plan').kernel}<{values['config']}>"
            f"({values['input']}, {values['output']}, {node.get_weights('core').name});"
        )


class CellConfig(LayerConfigTemplate):
    """`struct configN` of a cell, with the contraction of W_h h."""

    def __init__(self) -> None:
        super().__init__(FdhtCell)

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        plan: CellPlan = node.get_attr("plan")
        hidden: tuple[StagePlan, ...] = node.get_attr("hidden")
        return render(
            "cell_config.h.j2",
            name=f"config{node.index}",
            kind=plan.cell.kind,
            frames=node.get_attr("steps"),
            stateful=node.get_attr("stateful"),
            every_step=node.get_attr("return_sequences"),
            streamed=node.get_attr("streamed"),
            hidden=plan.hidden,
            types={name: constant_type(node.get_weights(name)) for name in node.arrays},
            stages=[(stage, node.get_weights(stage.identifier)) for stage in hidden],
            values=cell_values(plan, hidden[0].design.word_in),
        )


class HeadConfig(LayerConfigTemplate):
    """`struct configN` of a head."""

    def __init__(self) -> None:
        super().__init__(FdhtHead)

    def format(self, node: FdhtHead) -> str:
        """The C++ text."""
        return render(
            "head_config.h.j2",
            name=f"config{node.index}",
            head=node.get_attr("plan"),
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
        plan: CellPlan = node.get_attr("plan")
        kind = plan.cell.kind
        collected = "_collected" if kind == "lstm" and plan.collects else ""
        loadable = [stage.identifier for stage in node.get_attr("hidden") if stage.loadable]
        arrays = ", ".join(node.get_weights(name).name for name in (*node.arrays, *loadable))
        return (
            f"fdht::{kind}_cell{collected}<{values['config']}>"
            f"({values['input']}, {values['output']}, {reset_state}, {frame}, {arrays});"
        )

"""The C++ text of our nodes: configuration structs and function calls, from Jinja templates."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate

from fdht_hls.nodes import FdhtCell, FdhtContraction, hidden_core
from fdht_hls.shapes import lstm_cell, stage_shape
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence
from fdht_models.tensor.recurrent import GATES

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


def stage_values(lstm: QuantizedRecurrence, path: ContractionPath, position: int) -> dict[str, Any]:
    """What the configuration of a stage states."""
    accumulator = lstm.accumulator_format(path, position)
    exact = position == len(path.formats)
    shift = 0 if exact else accumulator.fraction - path.formats[position].fraction
    return {
        **asdict(stage_shape(path, position)),
        "accumulator_width": accumulator.width,
        "shift": shift,
        "exact": exact,
    }


def cell_values(lstm: QuantizedRecurrence) -> dict[str, Any]:
    """What the configuration of a cell states: widths, and shifts that align binary points."""
    cell = lstm_cell(lstm)
    total, cell_sum, product = (lstm.sums[name] for name in ("preactivation", "cell", "hidden"))
    fractions = [
        lstm.accumulator_format(path, -1).fraction for path in (lstm.input_path, lstm.hidden_path)
    ]
    first = lstm.input_path.plan.output_shape[0]
    return {
        "units": lstm.units,
        "groups": len(GATES["lstm"]) * lstm.units // first,
        "width": first,
        "fibre": lstm.hidden_path.plan.input_shape[-1],
        "sum_width": total.width,
        "input_shift": total.fraction - fractions[0],
        "hidden_shift": total.fraction - fractions[1],
        "bias_shift": total.fraction - cell.bias.format.fraction,
        "preactivation_width": cell.preactivation.width,
        "preactivation_shift": total.fraction - cell.preactivation.fraction,
        "cell_width": cell.cell.width,
        "cell_sum_width": cell_sum.width,
        "forget_shift": cell_sum.fraction - cell.gate.format.fraction - cell.cell.fraction,
        "update_shift": cell_sum.fraction
        - cell.gate.format.fraction
        - cell.candidate.format.fraction,
        "cell_shift": cell_sum.fraction - cell.cell.fraction,
        "hidden_width": cell.hidden.width,
        "product_width": product.width,
        "product_shift": product.fraction - cell.hidden.fraction,
    }


def constant_type(weights: Any) -> str:
    """C++ type of the entries of one of our weight arrays."""
    precision = weights.type.precision
    return f"fdht::constant<{precision.width}, {str(bool(precision.signed)).lower()}>::type"


def hidden_stages(node: FdhtCell) -> list[dict[str, Any]]:
    """Stages of W_h h with the types of what they emit."""
    lstm: QuantizedRecurrence = node.get_attr("lstm")
    path = lstm.hidden_path
    stages = []
    for position in range(len(path.plan.stages)):
        exact = position == len(path.formats)
        format = lstm.accumulator_format(path, position) if exact else path.formats[position]
        weights = node.get_weights(hidden_core(position))
        stages.append(
            {
                **stage_values(lstm, path, position),
                "interval": node.get_attr("reuse_factor"),
                "weights": weights.name,
                "weight_t": constant_type(weights),
                "result": format.hls_type,
                "words_out": stage_shape(path, position).words_out,
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
            interval=node.get_attr("reuse_factor"),
            weight_t=constant_type(node.get_weights("core")),
            **stage_values(lstm, lstm.input_path, node.get_attr("position")),
        )


class ContractionCall(FunctionCallTemplate):
    """The call of a contraction stage."""

    def __init__(self) -> None:
        super().__init__(FdhtContraction, include_header=["nnet_utils/fdht_contraction.h"])

    def format(self, node: FdhtContraction) -> str:
        """The C++ text."""
        values = self._default_function_params(node)
        kernel = "contract_mode" if node.get_attr("position") else "contract_fibre"
        return (
            f"fdht::{kernel}<{values['input_t']}, {values['output_t']}, {values['config']}>"
            f"({values['input']}, {values['output']}, {node.get_weights('core').name});"
        )


class CellConfig(LayerConfigTemplate):
    """`struct configN` of a cell, with the contraction of W_h h."""

    def __init__(self) -> None:
        super().__init__(FdhtCell)

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        return render(
            "cell_config.h.j2",
            name=f"config{node.index}",
            frames=node.get_attr("steps"),
            stateful=node.get_attr("stateful"),
            every_step=node.get_attr("return_sequences"),
            hidden=node.get_attr("lstm").cell.hidden,
            types={name: constant_type(node.get_weights(name)) for name in FdhtCell.ARRAYS},
            stages=hidden_stages(node),
            **cell_values(node.get_attr("lstm")),
        )


class CellCall(FunctionCallTemplate):
    """The call of a cell; in hls4ml's own top function nothing resets the state."""

    def __init__(self) -> None:
        super().__init__(FdhtCell, include_header=["nnet_utils/fdht_lstm.h"])

    def format(self, node: FdhtCell) -> str:
        """The C++ text."""
        return self.call(node, "false")

    def call(self, node: FdhtCell, reset_state: str) -> str:
        """The call with an expression for `reset_state`."""
        values = self._default_function_params(node)
        arrays = ", ".join(node.get_weights(name).name for name in FdhtCell.ARRAYS)
        return (
            f"fdht::lstm_cell<{values['input_t']}, {values['output_t']}, {values['config']}>"
            f"({values['input']}, {values['output']}, {reset_state}, {arrays});"
        )

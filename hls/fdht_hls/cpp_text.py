"""The C++ text of our nodes: configuration structs and function calls, from Jinja templates."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate

from fdht_hls.engine import CellPlan, StagePlan
from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead
from fdht_models.errors import ConversionError
from fdht_models.rendering import templates
from fdht_models.tensor.cells.operations import (
    Complement,
    Former,
    Lookup,
    Product,
    Round,
    Source,
    Sum,
)

_DIRECTORY = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Renders a template of this package."""
    own = (adders_name, constant_type, extent)
    return templates(_DIRECTORY, filters=own).get_template(template).render(**values)


def cell_values(plan: CellPlan, fibre: int) -> dict[str, Any]:
    """What the configuration of a cell states of its size.

    Args:
        plan: the cell.
        fibre: hidden units in a word of what the first stage of W_h h reads.
    """
    return {
        "units": plan.units,
        "gates": plan.gates,
        "groups": plan.arrival.shape[0],
        "width": plan.arrival.shape[1],
        "rows": plan.arrival.size,
        "fibre": fibre,
        "hidden_width": plan.hidden.width,
        "contexts": plan.contexts,
    }


def update_lines(node: FdhtCell) -> list[dict[str, Any]]:
    """What is computed for a unit: a variable a step of the cell's program."""
    plan: CellPlan = node.get_attr("plan")
    program, gates = plan.program, plan.cell.gates
    lines = []
    for step in program.steps:
        kind = f"fdht::integer<{step.format.signed_width}>::type"
        parts, names = program.operands(step), step.operands
        match step.operation:
            case Source() as source:
                value = f"sums.{type(source).__name__.lower()}[{gates.index(source.gate)}]"
            case Former(state):
                value = f"state.{state}[place]"
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


class NodeConfig(LayerConfigTemplate):
    """`struct configN` of a kind of our nodes, by a function that gives its C++ text."""

    def __init__(self, kind: type, text: Callable[[Any], str]) -> None:
        super().__init__(kind)
        self.format = text


class NodeCall(FunctionCallTemplate):
    """The call of a kind of our nodes, whose function is in a header of ours."""

    def __init__(self, kind: type, header: str, text: Callable[[Any], str]) -> None:
        super().__init__(kind, include_header=[f"nnet_utils/{header}"])
        self.format = text


def contraction_config(node: FdhtContraction) -> str:
    """The configuration of a contraction stage."""
    return render(
        "contraction_config.h.j2",
        name=f"config{node.index}",
        frames=node.get_attr("steps"),
        stage=node.get_attr("plan"),
        weights=node.get_weights("core"),
    )


def contraction_call(node: FdhtContraction) -> str:
    """The call of a contraction stage."""
    function = node.get_attr("plan").kernel
    return f"fdht::{function}<config{node.index}>({_streams(node)}, {_names(node, ['core'])});"


def places_of(variable: Any) -> str:
    """Name of the stream with the places of the words in another stream."""
    return f"{variable.name}_places"


def placed_call(node: FdhtContraction, *, is_last: bool) -> dict[str, str]:
    """The call of a contraction stage that works for what arrives.

    Args:
        node: the stage.
        is_last: of its path; then no places leave it.

    Returns:
        "text": the call; "observed": how a proof looks at what it emits.
    """
    plan: StagePlan = node.get_attr("plan")
    source, result = node.get_input_variable(), node.get_output_variable()
    leaving = "" if is_last else f", {places_of(result)}"
    words = plan.shape.groups * plan.shape.inner
    look = f"fdht::observe({result.name});"
    return {
        "text": f"fdht::{plan.placed_kernel}<config{node.index}>({source.name}, "
        f"{places_of(source)}, {result.name}, {_names(node, ['core'])}{leaving});",
        "observed": look if is_last else f"fdht::observe<{words}>({result.name}{leaving});",
    }


def cell_config(node: FdhtCell) -> str:
    """The configuration of a cell, with the contraction of W_h h."""
    plan: CellPlan = node.get_attr("plan")
    hidden: tuple[StagePlan, ...] = node.get_attr("hidden")
    return render(
        "cell_config.h.j2",
        name=f"config{node.index}",
        frames=node.get_attr("steps"),
        stateful=node.get_attr("stateful"),
        every_step=node.get_attr("return_sequences"),
        streamed=node.get_attr("streamed"),
        plan=plan,
        types={name: constant_type(node.get_weights(name)) for name in node.ARRAYS},
        stages=[(stage, node.get_weights(stage.identifier)) for stage in hidden],
        values=cell_values(plan, hidden[0].design.word_in),
        update=update_lines(node),
    )


def cell_call(
    node: FdhtCell, reset_state: str = "false", frame: str = "0", context: str = "0"
) -> str:
    """The call of a cell; in hls4ml's own top function nothing resets the state.

    Weights of W_h h that can be loaded are arguments, too.

    Args:
        node: the cell.
        reset_state: its argument of this name.
        frame: the number of the frame in the call.
        context: whose state it goes on from.
    """
    plan: CellPlan = node.get_attr("plan")
    collected = "_collected" if plan.collects else ""
    loadable = [stage.identifier for stage in node.get_attr("hidden") if stage.loadable]
    arrays = _names(node, [*node.ARRAYS, *loadable])
    return (
        f"fdht::cell{collected}<config{node.index}>"
        f"({_streams(node)}, {reset_state}, {frame}, {context}, {arrays});"
    )


def head_config(node: FdhtHead) -> str:
    """The configuration of a head."""
    return render(
        "head_config.h.j2",
        name=f"config{node.index}",
        head=node.get_attr("plan"),
        types={name: constant_type(node.get_weights(name)) for name in node.ARRAYS},
    )


def head_call(node: FdhtHead) -> str:
    """The call of a head."""
    return f"fdht::head<config{node.index}>({_streams(node)}, {_names(node, node.ARRAYS)});"


def _streams(node: Any) -> str:
    return f"{node.get_input_variable().name}, {node.get_output_variable().name}"


def _names(node: Any, arrays: Iterable[str]) -> str:
    return ", ".join(node.get_weights(name).name for name in arrays)


#: What makes hls4ml's templates of our nodes.
TEMPLATES = (
    partial(NodeConfig, FdhtContraction, contraction_config),
    partial(NodeConfig, FdhtCell, cell_config),
    partial(NodeConfig, FdhtHead, head_config),
    partial(NodeCall, FdhtContraction, "fdht_contraction.h", contraction_call),
    partial(NodeCall, FdhtCell, "fdht_cell.h", cell_call),
    partial(NodeCall, FdhtHead, "fdht_head.h", head_call),
)

"""The integer reference: runs a QuantizedNetwork in NumPy.

Every value is an integer; the result of each stage is an int64 array. Sums of products are taken
in float64: no format has more than 48 bits and float64 holds 53, so each of them is exact, in any
order, and the processor's matrix product can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError
from fdht_models.tensor.cells import Cell
from fdht_models.tensor.cells.operations import (
    Bias,
    Complement,
    Former,
    Lookup,
    Operation,
    Product,
    Projected,
    Recurrent,
    Round,
    Source,
    Sum,
)
from fdht_models.tensor.cells.program import CellProgram, Step
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork

#: Frames whose input part is computed at once: bounds the memory for long videos.
_BLOCK = 32

#: Called with the name of an intermediate result and its codes.
Observer = Callable[[str, Codes], None]


class ReferenceModel:
    """A network with its state, which lives across calls.

    Args:
        network: what to run.
        observer: sees every intermediate result, for tests and for locating a mismatch.
    """

    def __init__(self, network: QuantizedNetwork, observer: Observer | None = None) -> None:
        self.network = network
        self._observe = observer or (lambda name, codes: None)
        self.reset()

    def reset(self) -> None:
        """Sets all states to zero."""
        recurrence = self.network.recurrence
        self.states: dict[str, Codes] = {
            name: np.zeros(recurrence.units, np.int64) for name in recurrence.cell.described.states
        }

    def run(self, frames: npt.NDArray[np.uint8] | npt.NDArray[np.int8]) -> Codes:
        """Logit codes of consecutive frames.

        Args:
            frames: codes, [frames, inputs] of uint8 (int8 if the input format is signed).

        Returns:
            int64[frames, classes] in `network.logit_format`.

        Raises:
            ShapeError: wrong shape or type.
        """
        network = self.network
        wanted = np.dtype(np.int8 if network.input_format.signed else np.uint8)
        if frames.ndim != 2 or frames.shape[1] != network.inputs or frames.dtype != wanted:
            raise ShapeError(
                f"expected {wanted}[frames, {network.inputs}]",
                field="frames",
                value=f"{frames.dtype}{list(frames.shape)}",
            )
        logits = np.empty((len(frames), len(network.classes)), np.int64)
        for start in range(0, len(frames), _BLOCK):
            block = frames[start : start + _BLOCK]
            projected = self._contract(
                network.recurrence.input_path, block.astype(np.int64), "input"
            )
            for offset, row in enumerate(projected):
                logits[start + offset] = self._step(row)
        return logits

    def _step(self, projected: Codes) -> Codes:
        """One time step; `projected` is W_x x as exact codes, [gates x H]."""
        recurrence = self.network.recurrence
        recurrent = self._contract(recurrence.hidden_path, self.states["hidden"][None], "hidden")
        cell = recurrence.cell
        given: dict[type[Operation], Codes] = {
            Projected: projected,
            Recurrent: recurrent,
            Bias: cell.bias.codes,
        }
        sources = {kind: codes.reshape(len(cell.gates), -1) for kind, codes in given.items()}
        self.states = run_program(
            cell, recurrence.cell_program, sources, self.states, self._observe
        )
        return self._classify()

    def _classify(self) -> Codes:
        head = self.network.head
        products = self.network.recurrence.cell.hidden.fraction + head.weights.format.fraction
        return _exact_sum(
            self.network.logit_format.fraction,
            (self.states["hidden"] @ head.weights.codes, products),
            (head.bias.codes, head.bias.format.fraction),
        )

    def _contract(self, path: ContractionPath, codes: Codes, label: str) -> Codes:
        """Runs a path on a batch: [batch, inputs] -> exact codes [batch, outputs]."""
        running = codes.reshape(-1, *path.plan.input_shape)
        for position, stage in enumerate(path.plan.stages):
            core = self.network.recurrence.core_of(path, position)
            accumulator = self.network.recurrence.accumulator_format(path, position)
            running = _contract_exactly(stage.subscripts, running, core.codes)
            if position < len(path.formats):
                running = path.formats[position].requantize(running, accumulator.fraction)
            self._observe(f"{label}.{stage.core}", running)
        order = (0, *(axis + 1 for axis in path.plan.output_permutation))
        return running.transpose(order).reshape(len(codes), -1)


def run_program(
    cell: Cell,
    program: CellProgram,
    sources: Mapping[type[Operation], Codes],
    states: Mapping[str, Codes],
    observe: Observer,
) -> dict[str, Codes]:
    """The new states of all units.

    Args:
        cell: its tables.
        program: what it computes.
        sources: codes [gates, H] of W_x x, W_h h and the bias.
        states: the former states, [H].
        observe: sees what is rounded, values of one format that follow each other at once.
    """
    values: dict[str, Codes] = {}
    rounded: list[Step] = []

    def show(following: str | None) -> None:
        if rounded and rounded[0].operation.label != following:
            joined = np.concatenate([values[step.name] for step in rounded])
            observe(rounded[0].operation.label, joined)
            rounded.clear()

    for step in program.steps:
        parts = [(values[one.name], one.format) for one in program.operands(step)]
        values[step.name] = _value(cell, step, parts, sources, states)
        if isinstance(step.operation, Round):
            show(step.operation.format)
            rounded.append(step)
    show(None)
    return {state: values[name] for state, name in program.states.items()}


def _value(
    cell: Cell,
    step: Step,
    parts: list[tuple[Codes, FixedPoint]],
    sources: Mapping[type[Operation], Codes],
    states: Mapping[str, Codes],
) -> Codes:
    operation = step.operation
    match operation:
        case Source():
            return sources[type(operation)][cell.gates.index(operation.gate)]
        case Former():
            return states[operation.state]
        case Sum():
            pairs = ((codes, form.fraction) for codes, form in parts)
            return _exact_sum(step.format.fraction, *pairs)
        case Product():
            return parts[0][0] * parts[1][0]
    ((codes, form),) = parts
    match operation:
        case Complement():
            return (1 << form.fraction) - codes
        case Round():
            return step.format.requantize(codes, form.fraction)
        case Lookup():
            return cell.tables[operation.table].codes[form.raw(codes)]
    raise ShapeError("there is no reference for it", field="operation", value=step.name)


def _contract_exactly(subscripts: str, running: Codes, core: Codes) -> Codes:
    real = np.einsum(subscripts, running.astype(np.float64), core.astype(np.float64), optimize=True)
    return np.asarray(real).astype(np.int64)


def _exact_sum(fraction: int, *parts: tuple[Codes, int]) -> Codes:
    """Sum of (codes, fraction) pairs as codes with `fraction`, the largest of theirs."""
    total = np.zeros(1, np.int64)
    for codes, own in parts:
        total = total + (codes << (fraction - own))
    return total

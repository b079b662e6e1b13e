"""The integer reference: runs a QuantizedNetwork in NumPy.

Every value is an integer; the result of each stage is an int64 array. Sums of products are taken
in float64: no format has more than 48 bits and float64 holds 53, so each of them is exact, in any
order, and the processor's matrix product can be used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ShapeError
from fdht_models.tensor.cells import GruCell, LstmCell
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork, QuantizedRecurrence

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
        """Sets hidden and cell state to zero; a GRU leaves the cell state unused."""
        self.hidden = np.zeros(self.network.recurrence.units, np.int64)
        self.cell = np.zeros(self.network.recurrence.units, np.int64)

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
        recurrent = self._contract(recurrence.hidden_path, self.hidden[None], "hidden")[0]
        cell, sums = recurrence.cell, (projected, recurrent)
        if isinstance(cell, LstmCell):
            states = _lstm_step(recurrence, cell, sums, (self.hidden, self.cell), self._observe)
            self.hidden, self.cell = states
        elif isinstance(cell, GruCell):
            self.hidden = _gru_step(recurrence, cell, sums, self.hidden, self._observe)
        else:
            raise ShapeError("there is no reference for it", field="cell", value=cell.kind)
        return self._classify()

    def _classify(self) -> Codes:
        head = self.network.head
        products = self.network.recurrence.cell.hidden.fraction + head.weights.format.fraction
        return _exact_sum(
            self.network.logit_format.fraction,
            (self.hidden @ head.weights.codes, products),
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


def _lstm_step(
    recurrence: QuantizedRecurrence,
    cell: LstmCell,
    parts: tuple[Codes, Codes],
    states: tuple[Codes, Codes],
    observe: Observer,
) -> tuple[Codes, Codes]:
    """(h, c) from exact W_x x and W_h h, and the former (h, c)."""
    sums = recurrence.sums
    pre = _preactivation(recurrence, parts, slice(None))
    observe("preactivation", pre)
    index = cell.preactivation.raw(pre).reshape(4, recurrence.units)
    forget, update, output = (cell.gate.codes[index[gate]] for gate in (0, 1, 3))
    candidate = cell.candidate.codes[index[2]]
    gate = cell.gate.format.fraction
    total = _exact_sum(
        sums["cell"].fraction,
        (forget * states[1], gate + cell.cell.fraction),
        (update * candidate, gate + cell.candidate.format.fraction),
    )
    state = cell.cell.requantize(total, sums["cell"].fraction)
    observe("cell", state)
    squashed = cell.output.codes[cell.cell.raw(state)]
    hidden = cell.hidden.requantize(output * squashed, sums["hidden"].fraction)
    observe("hidden", hidden)
    return hidden, state


def _gru_step(
    recurrence: QuantizedRecurrence,
    cell: GruCell,
    parts: tuple[Codes, Codes],
    former: Codes,
    observe: Observer,
) -> Codes:
    """H from exact W_x x and W_h h, and the former h."""
    sums, units = recurrence.sums, recurrence.units
    projected, recurrent = (part[2 * units :] for part in parts)
    pre = _preactivation(recurrence, parts, slice(0, 2 * units))
    observe("preactivation", pre)
    reset, update = cell.gate.codes[cell.preactivation.raw(pre)].reshape(2, units)
    memory = cell.recurrent.requantize(recurrent, sums["recurrent"].fraction)
    observe("recurrent", memory)
    gate = cell.gate.format.fraction
    total = _exact_sum(
        sums["candidate"].fraction,
        (projected, recurrence.accumulator_format(recurrence.input_path, -1).fraction),
        (cell.bias.codes[2 * units :], cell.bias.format.fraction),
        (reset * memory, gate + cell.recurrent.fraction),
    )
    pre = cell.preactivation.requantize(total, sums["candidate"].fraction)
    observe("preactivation", pre)
    candidate = cell.candidate.codes[cell.preactivation.raw(pre)]
    total = _exact_sum(
        sums["hidden"].fraction,
        (((1 << gate) - update) * candidate, gate + cell.candidate.format.fraction),
        (update * former, gate + cell.hidden.fraction),
    )
    hidden = cell.hidden.requantize(total, sums["hidden"].fraction)
    observe("hidden", hidden)
    return hidden


def _preactivation(
    recurrence: QuantizedRecurrence, parts: tuple[Codes, Codes], rows: slice
) -> Codes:
    """round(W_x x + W_h h + b) of some rows."""
    fraction = recurrence.sums["preactivation"].fraction
    bias = recurrence.cell.bias
    total = _exact_sum(
        fraction,
        (parts[0][rows], recurrence.accumulator_format(recurrence.input_path, -1).fraction),
        (parts[1][rows], recurrence.accumulator_format(recurrence.hidden_path, -1).fraction),
        (bias.codes[rows], bias.format.fraction),
    )
    return recurrence.cell.preactivation.requantize(total, fraction)


def _contract_exactly(subscripts: str, running: Codes, core: Codes) -> Codes:
    real = np.einsum(subscripts, running.astype(np.float64), core.astype(np.float64), optimize=True)
    return np.asarray(real).astype(np.int64)


def _exact_sum(fraction: int, *parts: tuple[Codes, int]) -> Codes:
    """Sum of (codes, fraction) pairs as codes with `fraction`, the largest of theirs."""
    total = np.zeros(1, np.int64)
    for codes, own in parts:
        total = total + (codes << (fraction - own))
    return total

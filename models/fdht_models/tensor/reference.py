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
from fdht_models.tensor.fdht import GATES
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork

#: Frames whose input part is computed at once: bounds the memory for long videos.
_BLOCK = 32

#: Called with the name of an intermediate result and its codes.
Observer = Callable[[str, Codes], None]


class ReferenceModel:
    """A network with its LSTM state, which lives across calls.

    Args:
        network: what to run.
        observer: sees every intermediate result, for tests and for locating a mismatch.
    """

    def __init__(self, network: QuantizedNetwork, observer: Observer | None = None) -> None:
        self.network = network
        self._observe = observer or (lambda name, codes: None)
        self.reset()

    def reset(self) -> None:
        """Sets hidden and cell state to zero."""
        self.hidden = np.zeros(self.network.lstm.units, np.int64)
        self.cell = np.zeros(self.network.lstm.units, np.int64)

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
            projected = self._contract(network.lstm.input_path, block.astype(np.int64), "input")
            for offset, row in enumerate(projected):
                logits[start + offset] = self._step(row)
        return logits

    def _step(self, projected: Codes) -> Codes:
        """One time step; `projected` is W_x x as exact codes, [4 H]."""
        network, cell = self.network.lstm, self.network.lstm.cell
        recurrent = self._contract(network.hidden_path, self.hidden[None], "hidden")[0]
        fractions = [
            network.accumulator_format(path, -1).fraction
            for path in (network.input_path, network.hidden_path)
        ]
        total = _exact_sum(
            network.sum_format.fraction,
            (projected, fractions[0]),
            (recurrent, fractions[1]),
            (cell.bias.codes, cell.bias.format.fraction),
        )
        pre = cell.preactivation.requantize(total, network.sum_format.fraction)
        self._observe("preactivation", pre)
        index = cell.preactivation.raw(pre).reshape(len(GATES), network.units)
        forget, update, output = (cell.gate.codes[index[gate]] for gate in (0, 1, 3))
        candidate = cell.candidate.codes[index[2]]
        gate = cell.gate.format.fraction
        total = _exact_sum(
            network.cell_sum_format.fraction,
            (forget * self.cell, gate + cell.cell.fraction),
            (update * candidate, gate + cell.candidate.format.fraction),
        )
        self.cell = cell.cell.requantize(total, network.cell_sum_format.fraction)
        squashed = cell.output.codes[cell.cell.raw(self.cell)]
        self.hidden = cell.hidden.requantize(output * squashed, gate + cell.output.format.fraction)
        self._observe("cell", self.cell)
        self._observe("hidden", self.hidden)
        return self._classify()

    def _classify(self) -> Codes:
        head = self.network.head
        products = self.network.lstm.cell.hidden.fraction + head.weights.format.fraction
        return _exact_sum(
            self.network.logit_format.fraction,
            (self.hidden @ head.weights.codes, products),
            (head.bias.codes, head.bias.format.fraction),
        )

    def _contract(self, path: ContractionPath, codes: Codes, label: str) -> Codes:
        """Runs a path on a batch: [batch, inputs] -> exact codes [batch, outputs]."""
        running = codes.reshape(-1, *path.plan.input_shape)
        for position, stage in enumerate(path.plan.stages):
            core = self.network.lstm.core_of(path, position)
            accumulator = self.network.lstm.accumulator_format(path, position)
            running = _contract_exactly(stage.subscripts, running, core.codes)
            if position < len(path.formats):
                running = path.formats[position].requantize(running, accumulator.fraction)
            self._observe(f"{label}.{stage.core}", running)
        order = (0, *(axis + 1 for axis in path.plan.output_permutation))
        return running.transpose(order).reshape(len(codes), -1)


def _contract_exactly(subscripts: str, running: Codes, core: Codes) -> Codes:
    real = np.einsum(subscripts, running.astype(np.float64), core.astype(np.float64), optimize=True)
    return np.asarray(real).astype(np.int64)


def _exact_sum(fraction: int, *parts: tuple[Codes, int]) -> Codes:
    """Sum of (codes, fraction) pairs as codes with `fraction`, the largest of theirs."""
    total = np.zeros(1, np.int64)
    for codes, own in parts:
        total = total + (codes << (fraction - own))
    return total

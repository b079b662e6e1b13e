"""Bounds on rounding errors, computed along with the values (running error analysis).

Higham, "Accuracy and Stability of Numerical Algorithms", chapters 2 and 3: every operation has a
factor 1 + d, |d| <= unit roundoff, and a sum of n products, added in whatever order, differs from
the exact one by at most gamma(n) times the sum of the absolute products.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_models.tensor.network import TensorNetwork
from fdht_models.tensor.plan import ContractionPlan
from fdht_models.tensor.recurrent import DENSE_HIDDEN, RecurrentShape

Real = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]

#: Unit roundoff of float32 and float64.
UNIT_32, UNIT_64 = 2.0**-24, 2.0**-53
#: Largest absolute error of TensorFlow's float32 sigmoid and tanh; `test_oracles` measures it.
FUNCTION_ERROR = 8 * UNIT_32


def gamma(count: int, unit: float) -> float:
    """Higham's gamma: the relative error of `count` roundings in a row."""
    return count * unit / (1 - count * unit)


def run_plan(plan: ContractionPlan, arrays: Arrays, vectors: npt.NDArray[Any]) -> Real:
    """A plan in plain NumPy: [batch, inputs] -> [batch, outputs]."""
    running = vectors.reshape(-1, *plan.input_shape)
    for stage in plan.stages:
        running = np.einsum(stage.subscripts, running, arrays[stage.core])
    order = (0, *(axis + 1 for axis in plan.output_permutation))
    return np.asarray(running.transpose(order).reshape(len(vectors), plan.output_size))


def magnitudes(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
    """Absolute values of all arrays."""
    return {name: np.abs(array) for name, array in arrays.items()}


def forward_bound(plan: ContractionPlan, network: TensorNetwork, arrays: Arrays, x: Any) -> Real:
    """Largest difference of two float64 evaluations of W x, one core at a time, in any order.

    Contracting a core sums over indices that this core carries, outputs excepted. So on its way
    into the result a product passes at most as many roundings as these have values, a core; one
    evaluation errs by gamma of their total times the sum of absolute products.
    """
    count = 0
    for core in network.cores:
        summed = [index for index in core.indices if index not in network.outputs]
        count += int(np.prod([network.sizes[index] for index in summed]))
    return 2 * gamma(count, UNIT_64) * run_plan(plan, magnitudes(arrays), np.abs(x))


@dataclass(frozen=True)
class Inexact:
    """A value, and how far from it what float32 makes of it may be, element by element."""

    value: Real
    error: Real

    def __add__(self, other: Inexact) -> Inexact:
        return self._rounded(self.value + other.value, self.error + other.error)

    def __sub__(self, other: Inexact) -> Inexact:
        return self._rounded(self.value - other.value, self.error + other.error)

    def __mul__(self, other: Inexact) -> Inexact:
        product = (np.abs(self.value) + self.error) * (np.abs(other.value) + other.error)
        value = self.value * other.value
        return self._rounded(value, product - np.abs(value))

    def times(self, matrix: Real, bound: Real, terms: int) -> Inexact:
        """self @ matrix.T, in which a product passes `terms` roundings.

        Args:
            matrix: W.
            bound: the sums of absolute products behind each element of W; at least |W|.
            terms: roundings on the longest way.
        """
        rounding = gamma(terms, UNIT_32) * (np.abs(self.value) + self.error) @ bound.T
        return Inexact(self.value @ matrix.T, self.error @ np.abs(matrix).T + rounding)

    def sigmoid(self) -> Inexact:
        """1 / (1 + exp(-x)); its slope is steepest where |x| is smallest."""
        nearest = sigmoid(np.maximum(np.abs(self.value) - self.error, 0))
        slope = nearest * (1 - nearest)
        return Inexact(sigmoid(self.value), slope * self.error + FUNCTION_ERROR)

    def tanh(self) -> Inexact:
        """tanh(x), likewise."""
        slope = 1 - np.tanh(np.maximum(np.abs(self.value) - self.error, 0)) ** 2
        return Inexact(np.tanh(self.value), slope * self.error + FUNCTION_ERROR)

    def split(self, parts: int) -> list[Inexact]:
        """Equal parts of the last axis."""
        pieces = (np.split(array, parts, axis=-1) for array in (self.value, self.error))
        return [Inexact(*pair) for pair in zip(*pieces, strict=True)]

    @staticmethod
    def _rounded(value: Real, error: Real) -> Inexact:
        return Inexact(value, error + UNIT_32 * (np.abs(value) + error))


def sigmoid(values: Real) -> Real:
    """1 / (1 + exp(-x)) in float64."""
    return np.asarray(1 / (1 + np.exp(-values)))


def matrices(shape: RecurrentShape, arrays: Arrays) -> tuple[Real, Real]:
    """W_x [gates x H, inputs] and W_h [gates x H, H], without a plan."""
    network, first = shape.network, shape.input_modes[0]
    rows = network.output_size
    whole = network.dense(arrays)
    whole = whole.reshape(rows, *(network.sizes[index] for index in network.inputs))
    from_input = whole[:, :first].reshape(rows, -1)
    if not shape.integrated:
        outputs = shape.hidden_network.core(DENSE_HIDDEN).indices[1:]
        axes = [outputs.index(index) + 1 for index in network.outputs]
        hidden = np.asarray(arrays[DENSE_HIDDEN], np.float64)
        return from_input, hidden.transpose(*axes, 0).reshape(rows, -1)
    corner = whole[(slice(None), slice(first, None), *map(slice, shape.hidden_sides[1:]))]
    return from_input, corner.reshape(rows, -1)


def recurrence(shape: RecurrentShape, arrays: Arrays, bias: Any, frames: Any) -> Inexact:
    """h of every step, [batch, time, H], of a float layer of ours with exactly these weights.

    A stage of the plan sums `terms` products, and each merged core is rounded to float32 once.
    """
    from_input, from_hidden = matrices(shape, arrays)
    input_bound, hidden_bound = matrices(shape, magnitudes(arrays))
    input_terms, hidden_terms = (
        sum(stage.terms + 1 for stage in plan.stages)
        for plan in (shape.input_plan, shape.hidden_plan)
    )
    exact = np.asarray(bias, np.float64)
    offset = Inexact(exact, np.zeros_like(exact))
    step = _STEPS[shape.cell]
    zero = np.zeros((len(frames), shape.units))
    states = (Inexact(zero, zero), Inexact(zero, zero))
    hidden = []
    for frame in np.asarray(frames, np.float64).swapaxes(0, 1):
        source = Inexact(frame, np.zeros_like(frame))
        projected = source.times(from_input, input_bound, input_terms)
        recurrent = states[0].times(from_hidden, hidden_bound, hidden_terms)
        states = step(projected, recurrent, offset, states)
        hidden.append(states[0])
    return Inexact(
        np.stack([one.value for one in hidden], 1), np.stack([one.error for one in hidden], 1)
    )


def _lstm_step(
    projected: Inexact, recurrent: Inexact, bias: Inexact, states: tuple[Inexact, Inexact]
) -> tuple[Inexact, Inexact]:
    forget, update, candidate, output = (projected + recurrent + bias).split(4)
    kept = forget.sigmoid() * states[1]
    cell = kept + update.sigmoid() * candidate.tanh()
    return output.sigmoid() * cell.tanh(), cell


def _gru_step(
    projected: Inexact, recurrent: Inexact, bias: Inexact, states: tuple[Inexact, Inexact]
) -> tuple[Inexact, Inexact]:
    reset, update, candidate = (projected + bias).split(3)
    recurrent_reset, recurrent_update, memory = recurrent.split(3)
    reset = (reset + recurrent_reset).sigmoid()
    update = (update + recurrent_update).sigmoid()
    candidate = (candidate + reset * memory).tanh()
    hidden = _mixed(update, states[0], candidate)
    return hidden, hidden


def _mgu_step(
    projected: Inexact, recurrent: Inexact, bias: Inexact, states: tuple[Inexact, Inexact]
) -> tuple[Inexact, Inexact]:
    forget, candidate = (projected + bias).split(2)
    recurrent_forget, memory = recurrent.split(2)
    forget = (forget + recurrent_forget).sigmoid()
    hidden = _mixed(forget, (candidate + forget * memory).tanh(), states[0])
    return hidden, hidden


def _mixed(share: Inexact, first: Inexact, second: Inexact) -> Inexact:
    """second + share (first - second) = share first + (1 - share) second, with 0 <= share <= 1.

    The first way, taken step by step, would count the error of `second` twice. Rounded are the
    difference, the product and the sum, none larger than |first| + |second|.
    """
    difference = first.value - second.value
    size = sum(np.abs(one.value) + one.error for one in (first, second))
    error = (
        share.value * first.error
        + (1 - share.value) * second.error
        + share.error * (np.abs(difference) + first.error + second.error)
        + 3 * UNIT_32 * size
    )
    return Inexact(second.value + share.value * difference, error)


_STEPS = {"lstm": _lstm_step, "gru": _gru_step, "mgu": _mgu_step}

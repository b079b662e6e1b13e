"""The contractions in TensorFlow: merging the tree into a chain, and running a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from fdht_models.kerasapi import tf
from fdht_models.tensor.fdht import FdhtShape
from fdht_models.tensor.network import merge_arrays
from fdht_models.tensor.plan import ContractionPlan

#: Applied to what a stage emits: (position, values) -> values.
Rounding = Callable[[int, tf.Tensor], tf.Tensor]


def merge_cores(shape: FdhtShape, weights: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Chain cores `C1` .. `Cd` and `C1_hidden` of an HT network's weights, in float32.

    The products are taken in float64 and rounded to float32, so that they do not depend on the
    order in which a machine adds; the merge is differentiable.
    """
    wide = {name: tf.cast(weight, tf.float64) for name, weight in weights.items()}
    merged = merge_arrays(shape.network, shape.groups, wide, tf.einsum)
    cores = {name: tf.cast(core, tf.float32) for name, core in merged.items()}
    axis = shape.chain.core("C1").indices.index("i1")
    first = cores["C1"]
    cores["C1"], cores["C1_hidden"] = tf.split(first, [shape.input_modes[0], 1], axis)
    return cores


def leading_part(core: tf.Tensor, shape: Sequence[int]) -> tf.Tensor:
    """The leading part of a stored core that a stage uses."""
    if tuple(core.shape) == tuple(shape):
        return core
    return tf.slice(core, [0] * len(shape), list(shape))


def run_plan(
    plan: ContractionPlan,
    values: tf.Tensor,
    cores: Sequence[tf.Tensor],
    rounding: Rounding | None = None,
) -> tf.Tensor:
    """Contracts `values`, [batch, inputs], with the stored cores in the plan's order.

    Args:
        plan: the contraction.
        values: [batch, plan.input_size].
        cores: the stored core of each stage; the leading part is used.
        rounding: applied to what each stage but the last emits.

    Returns:
        [batch, plan.output_size], row-major over the output modes.
    """
    running = tf.reshape(values, (-1, *plan.input_shape))
    last = len(plan.stages) - 1
    for position, (stage, core) in enumerate(zip(plan.stages, cores, strict=True)):
        part = leading_part(core, stage.core_shape)
        running = tf.einsum(stage.subscripts, running, part)
        if rounding is not None and position < last:
            running = rounding(position, running)
    running = tf.transpose(running, (0, *(axis + 1 for axis in plan.output_permutation)))
    return tf.reshape(running, (-1, plan.output_size))


def initial_deviations(shape: FdhtShape, input_gain: float) -> dict[str, float]:
    """Standard deviation of each HT weight such that variances stay near 1 along the chain.

    Args:
        shape: the format.
        input_gain: factor on the slices of the first leaf that meet x, for inputs whose typical
            size is far below 1.
    """
    sizes = shape.network.sizes
    deviations = {}
    for core in shape.network.cores:
        if core.name.startswith("U"):
            mode = core.indices[0]
            deviations[core.name] = sizes[mode] ** -0.5
        else:
            incoming = core.indices[:2]
            deviations[core.name] = float(np.prod([sizes[i] for i in incoming])) ** -0.5
    rank = sizes[shape.network.core("U1").indices[2]]
    deviations["U1"] = input_gain * (2 * rank) ** -0.5
    return deviations


def hidden_slice_gain(shape: FdhtShape, input_gain: float) -> float:
    """How much larger the slice of `U1` that meets h must be than those that meet x.

    Only the corner p_k of n_k of each mode carries h, which loses variance p_k / n_k a mode.
    """
    gain = 1.0
    for side, mode in zip(shape.hidden_box, shape.input_modes[1:], strict=True):
        gain *= (mode / side) ** 0.5
    return gain / input_gain

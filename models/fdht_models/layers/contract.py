"""The contractions in TensorFlow: merging cores, running a plan, and where weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from fdht_models.kerasapi import tf
from fdht_models.tensor.network import merge_arrays
from fdht_models.tensor.plan import ContractionPlan
from fdht_models.tensor.recurrent import DENSE_HIDDEN, HIDDEN_SUFFIX, RecurrentShape


def merge_cores(shape: RecurrentShape, weights: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The stored cores (`RecurrentShape.stored_names`) of a layer's weights, in float32.

    The products are taken in float64 and rounded to float32, so that they do not depend on the
    order in which a machine adds; the merge is differentiable.
    """
    wide = {name: tf.cast(weights[name], tf.float64) for name in shape.network.core_names}
    merged = merge_arrays(shape.network, shape.groups, wide, tf.einsum)
    cores = {name: tf.cast(core, tf.float32) for name, core in merged.items()}
    if not shape.integrated:
        return {**cores, DENSE_HIDDEN: weights[DENSE_HIDDEN]}
    first = shape.first_core
    axis = shape.stored.core(first).indices.index(shape.stored.inputs[0])
    slices = [shape.input_modes[0], shape.hidden_sides[0]]
    cores[first], cores[first + HIDDEN_SUFFIX] = tf.split(cores[first], slices, axis)
    return cores


def run_plan(
    plan: ContractionPlan,
    values: tf.Tensor,
    cores: Sequence[tf.Tensor],
    rounding: Callable[[int, tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Contracts `values`, [batch, inputs], with the stored cores in the plan's order.

    Args:
        plan: the contraction.
        values: [batch, plan.input_size].
        cores: the stored core of each stage; the leading part is used.
        rounding: (position, values) -> values; applied to what each stage but the last emits.

    Returns:
        [batch, plan.output_size], row-major over the output modes.
    """
    running = tf.reshape(values, (-1, *plan.input_shape))
    last = len(plan.stages) - 1
    for position, (stage, core) in enumerate(zip(plan.stages, cores, strict=True)):
        if tuple(core.shape) != stage.core_shape:
            core = tf.slice(core, [0] * len(stage.core_shape), list(stage.core_shape))
        running = tf.einsum(stage.subscripts, running, core)
        if position < last:
            running = rounding(position, running)
    running = tf.transpose(running, (0, *(axis + 1 for axis in plan.output_permutation)))
    return tf.reshape(running, (-1, plan.output_size))


def initial_deviations(shape: RecurrentShape, input_gain: float) -> dict[str, float]:
    """Standard deviation of each core's weights such that variances stay near 1 on the way.

    Each index that is summed is counted once: an input mode by its core, a bond by the last core
    that carries it.

    Args:
        shape: the layer.
        input_gain: factor on the weights that meet x and carry the first input mode, for inputs
            whose typical size is far below 1.
    """
    network = shape.network
    modes = {*network.inputs, *network.outputs}
    owners = {index: core.name for core in network.cores for index in core.indices}
    deviations = {}
    for core in network.cores:
        bonds = [index for index in core.indices if index not in modes]
        own = [index for index in bonds if owners[index] == core.name]
        own += [index for index in core.indices if index in network.inputs]
        terms = math.prod(network.sizes[index] for index in own)
        deviations[core.name] = terms**-0.5
        if network.inputs[0] in core.indices:
            # The first mode sums what few of its slices hold, so it is not counted.
            rank = math.prod(network.sizes[index] for index in bonds)
            deviations[core.name] = input_gain * (2 * rank) ** -0.5
    return deviations


def hidden_slice_gain(shape: RecurrentShape, input_gain: float) -> float:
    """How much larger the slices of the first mode that meet h must be than those that meet x.

    Only p_k of n_k values of each mode carry h, which loses variance p_k / n_k a mode, and p_1
    slices are summed.
    """
    gain = shape.hidden_sides[0] ** -0.5
    for side, mode in zip(shape.hidden_sides[1:], shape.input_modes[1:], strict=True):
        gain *= (mode / side) ** 0.5
    return gain / input_gain

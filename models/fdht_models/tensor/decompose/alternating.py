"""Alternating least squares on any TensorNetwork, in little more memory than the matrix takes.

With all cores but one fixed, W is linear in that one: the best core solves a least-squares problem
in its bonds alone. Every format of `fdht_models.tensor.formats` is fitted by the same sweeps; no
sweep makes the error larger. There is no guarantee to reach the best approximation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from fdht_models.tensor.decompose.unfolding import Arrays, Fitting, Real
from fdht_models.tensor.network import Core, TensorNetwork, einsum_subscripts

#: Normal equations and intermediate results up to so many values are made however small the
#: matrix is.
_SMALL = 1 << 20
#: Added to the name of a bond in the second copy of a network.
_COPY = "'"
Indices: TypeAlias = "tuple[str, ...]"


def refine(network: TensorNetwork, arrays: Arrays, tensor: Real, fitting: Fitting) -> Arrays:
    """Sweeps over the cores in their order, each set to the best one beside the others.

    While the cores of one half change, those of the other do not: the tensor is contracted with
    them once, and what remains is far smaller. A core whose normal equations would be larger than
    the matrix itself is left as it is.

    Args:
        network: the format.
        arrays: where to begin.
        tensor: what to fit, with axes (i_1 .. i_p, o_1 .. o_q), in any order in memory; best is
            one in which the two halves of the cores have their modes apart.
        fitting: when to stop.

    Returns:
        Arrays of the smallest error met at the end of a sweep.
    """
    target = Operand(tensor, (*network.inputs, *network.outputs))
    total = float(np.vdot(tensor, tensor))
    largest = max(tensor.size, _SMALL)
    halves = _halves(network)
    best, former, current = arrays, math.inf, dict(arrays)
    for _ in range(fitting.sweeps):
        left = total
        for half, others in (halves, halves[::-1]):
            seen = _without(network, current, half, others, target, largest)
            for core in half:
                if _size(network, _bonds(network, core)) ** 2 > largest:
                    continue
                near = _operands(current, [one for one in half if one is not core])
                right = contract([*seen, *near], _bonds_first(network, core), largest)
                square = _square(network, current, core, largest)
                current[core.name], change = _best_core(network, core, right, square)
                left = total - change
        error = math.sqrt(max(left, 0.0) / total)
        if error < former:
            best = dict(current)
        if former - error < fitting.tolerance:
            break
        former = error
    return best


def _best_core(network: TensorNetwork, core: Core, right: Real, square: Real) -> tuple[Real, float]:
    """The best core beside the others, and how much of the squared norm it explains.

    Args:
        network: the format.
        core: which one.
        right: the tensor contracted with all other cores.
        square: the other cores' products with each other, [bonds, bonds].
    """
    order = _bonds_first(network, core)
    right = right.reshape(len(square), -1)
    found = _solve(square, right)
    explained = 2 * np.vdot(right, found) - np.vdot(found, square @ found)
    shaped = found.reshape([network.sizes[index] for index in order])
    axes = [order.index(index) for index in core.indices]
    return np.ascontiguousarray(shaped.transpose(axes)), float(explained)


def _square(network: TensorNetwork, arrays: Arrays, core: Core, largest: int) -> Real:
    """The matrix of the normal equations: all other cores twice, joined at their modes."""
    bonds = _bonds(network, core)
    if not bonds:
        return np.ones((1, 1))
    others = _operands(arrays, [one for one in network.cores if one is not core])
    copies = [Operand(one.array, _copied(network, one.indices)) for one in others]
    count = _size(network, bonds)
    result = contract([*others, *copies], (*bonds, *_copied(network, bonds)), largest)
    return result.reshape(count, count)


def _solve(square: Real, right: Real) -> Real:
    """The smallest solution of symmetric normal equations, which may be singular.

    Terms of very different size are brought to unit norm first.
    """
    scale = np.sqrt(np.diag(square))
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(square / np.outer(scale, scale))
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    inverse = np.where(kept, 1 / np.where(kept, values, 1.0), 0.0)
    inner = vectors.T @ (right / scale[:, None])
    return np.asarray(vectors @ (inverse[:, None] * inner) / scale[:, None])


def _without(
    network: TensorNetwork,
    arrays: Arrays,
    own: Sequence[Core],
    others: Sequence[Core],
    target: Operand,
    largest: int,
) -> list[Operand]:
    """What one half of the cores has to fit: the tensor contracted with the other half.

    The other half is contracted first, where that is not too large, so that the tensor is read
    once. If even the result would be too large, tensor and cores are returned as they are.
    """
    operands = _operands(arrays, others)
    if not others:
        return [target]
    kept, crossing = _kept(target.indices, own, others)
    if _size(network, (*kept, *crossing)) > largest:
        return [target, *operands]
    block = (*(index for index in target.indices if index not in kept), *crossing)
    if _size(network, block) <= largest:
        operands = [Operand(contract(operands, block, largest), block)]
    result = (*kept, *crossing)
    return [Operand(contract([target, *operands], result, largest), result)]


def _halves(network: TensorNetwork) -> tuple[tuple[Core, ...], tuple[Core, ...]]:
    """The cores in two parts, such that the tensor without either is as small as can be."""
    cores, modes = network.cores, (*network.inputs, *network.outputs)

    def largest_view(place: int) -> int:
        parts = cores[:place], cores[place:]
        views = (_kept(modes, *pair) for pair in (parts, parts[::-1]))
        return max(_size(network, (*kept, *crossing)) for kept, crossing in views)

    place = min(range(1, len(cores)), key=largest_view, default=1)
    return cores[:place], cores[place:]


def _kept(modes: Indices, own: Sequence[Core], others: Sequence[Core]) -> tuple[Indices, Indices]:
    """Modes that a half carries itself, and bonds to the other half."""
    held, beyond = ({index for core in half for index in core.indices} for half in (own, others))
    return tuple(index for index in modes if index in held), tuple(sorted(held & beyond))


def _operands(arrays: Arrays, cores: Sequence[Core]) -> list[Operand]:
    return [Operand(arrays[core.name], core.indices) for core in cores]


def _size(network: TensorNetwork, indices: Indices) -> int:
    return math.prod(network.sizes[index] for index in indices)


def _bonds(network: TensorNetwork, core: Core) -> Indices:
    modes = {*network.inputs, *network.outputs}
    return tuple(index for index in core.indices if index not in modes)


def _bonds_first(network: TensorNetwork, core: Core) -> Indices:
    """A core's indices, the bonds before the modes."""
    bonds = _bonds(network, core)
    return (*bonds, *(index for index in core.indices if index not in bonds))


def _copied(network: TensorNetwork, indices: Indices) -> Indices:
    """Indices of a second copy of the network, with which the first shares its modes."""
    modes = {*network.inputs, *network.outputs}
    return tuple(index if index in modes else index + _COPY for index in indices)


@dataclass(frozen=True)
class Operand:
    """An array and the names of its axes."""

    array: Real
    indices: Indices


def contract(operands: Sequence[Operand], output: Indices, largest: int) -> Real:
    """Sums the product of the operands over all indices but `output`.

    Pairs are contracted in a greedy order. Where that would make an intermediate result of more
    than `largest` values, an index that makes it so large is taken value by value.

    Args:
        operands: at least one; none larger than `largest`.
        output: indices of the result.
        largest: values in the largest intermediate result.
    """
    sizes = {
        index: size
        for operand in operands
        for index, size in zip(operand.indices, operand.array.shape, strict=True)
    }
    order, widest = _order(
        tuple(frozenset(one.indices) for one in operands),
        frozenset(output),
        tuple(sorted(sizes.items())),
    )
    if math.prod(sizes[index] for index in widest) > largest:
        held = max(operands, key=lambda one: one.array.size).indices
        index = max(sorted(widest - {*held}), key=lambda index: sizes[index])
        return _value_by_value(operands, output, largest, index, sizes)
    pending = list(operands)
    for first, second in order:
        pair = pending[first], pending[second]
        pending = [each for place, each in enumerate(pending) if place not in (first, second)]
        needed = {*output, *(index for each in pending for index in each.indices)}
        pending.append(_product(*pair, needed))
    (last,) = pending
    return np.asarray(np.einsum(einsum_subscripts([last.indices], output), last.array))


def _product(one: Operand, other: Operand, needed: set[str]) -> Operand:
    """Two operands contracted; of their indices, those in `needed` stay."""
    summed = [i for i in one.indices if i in other.indices and i not in needed]
    kept = tuple(i for i in dict.fromkeys((*one.indices, *other.indices)) if i in needed)
    if len(kept) + 2 * len(summed) != len(one.indices) + len(other.indices):
        subscripts = einsum_subscripts([one.indices, other.indices], kept)
        return Operand(np.einsum(subscripts, one.array, other.array), kept)
    # No index stays that both have: a matrix product. It takes the first operand's summed axes
    # last and the second's first, and copies an operand in which they lie otherwise; so the
    # larger one goes where it need not be copied.
    large, small = (one, other) if one.array.size >= other.array.size else (other, one)
    strides = dict(zip(large.indices, large.array.strides, strict=True))
    inner = max((strides[index] for index in summed), default=0)
    outer = min((strides[index] for index in large.indices if index not in summed), default=0)
    one, other = (large, small) if inner <= outer else (small, large)
    # The larger one's own order of the summed axes.
    summed = sorted(summed, key=lambda index: -strides[index])
    first, second = ([each.indices.index(index) for index in summed] for each in (one, other))
    rest = tuple(i for each in (one, other) for i in each.indices if i not in summed)
    return Operand(np.tensordot(one.array, other.array, axes=(first, second)), rest)


def _value_by_value(
    operands: Sequence[Operand],
    output: Indices,
    largest: int,
    index: str,
    sizes: Mapping[str, int],
) -> Real:
    result = np.zeros([sizes[name] for name in output])
    for value in range(sizes[index]):
        parts = [
            Operand(
                np.asarray(one.array.take(value, one.indices.index(index))),
                tuple(name for name in one.indices if name != index),
            )
            if index in one.indices
            else one
            for one in operands
        ]
        if index in output:
            place = output.index(index)
            kept = output[:place] + output[place + 1 :]
            result[(slice(None),) * place + (value,)] = contract(parts, kept, largest)
        else:
            result += contract(parts, output, largest)
    return result


@lru_cache(maxsize=1024)
def _order(
    operands: tuple[frozenset[str], ...],
    output: frozenset[str],
    named_sizes: tuple[tuple[str, int], ...],
) -> tuple[list[tuple[int, int]], frozenset[str]]:
    """Pairs to contract, each the one that shrinks most, and the widest result on the way.

    Every sweep asks for the same ones.
    """
    sizes = dict(named_sizes)

    def size(indices: frozenset[str]) -> int:
        return math.prod(sizes[index] for index in indices)

    pending, order, widest = list(operands), [], frozenset[str]()
    while len(pending) > 1:
        best: tuple[int, int, int, frozenset[str]] | None = None
        for first, second in itertools.combinations(range(len(pending)), 2):
            rest = [each for place, each in enumerate(pending) if place not in (first, second)]
            result = (pending[first] | pending[second]) & output.union(*rest)
            growth = size(result) - size(pending[first]) - size(pending[second])
            if best is None or growth < best[0]:
                best = (growth, first, second, result)
        assert best is not None
        _, first, second, result = best
        pending = [each for place, each in enumerate(pending) if place not in (first, second)]
        pending.append(result)
        order.append((first, second))
        widest = max(widest, result, key=size)
    return order, widest

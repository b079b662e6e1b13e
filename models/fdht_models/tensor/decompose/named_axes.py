"""Contraction of a few arrays with named axes, in bounded memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from fdht_models.tensor.decompose.unfolding import Real
from fdht_models.tensor.network import einsum_subscripts

Indices: TypeAlias = "tuple[str, ...]"


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

"""Modes and ranks: what every constructor checks, and what to suggest when a size does not factor.

Modes are numbered from 1, as in the papers: input mode k is index `i{k}`, output mode k `o{k}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fdht_models.errors import ShapeError
from fdht_models.tensor.network import TensorNetwork

#: Sizes up to this one are factored by trial division, which takes no time.
_LARGEST = 10**12
#: A size with a larger prime factor than this makes a poor mode, and is padded.
_SMOOTH = 13


def names(letter: str, modes: int) -> tuple[str, ...]:
    """Names of the modes: ("i1", "i2", ...)."""
    return tuple(f"{letter}{k}" for k in range(1, modes + 1))


def mode_sizes(input_modes: Sequence[int], output_modes: Sequence[int]) -> dict[str, int]:
    """Sizes of the modes by name.

    Raises:
        ShapeError: a list is empty, or a mode is not positive.
    """
    for field, modes in (("input_modes", input_modes), ("output_modes", output_modes)):
        if not modes or min(modes) < 1:
            raise ShapeError("must be positive sizes", field=field, value=list(modes))
    sizes = dict(zip(names("i", len(input_modes)), input_modes, strict=True))
    return sizes | dict(zip(names("o", len(output_modes)), output_modes, strict=True))


def check_paired(inputs: Sequence[str], outputs: Sequence[str], sizes: Mapping[str, int]) -> int:
    """Number of modes of a format whose core k carries both input mode k and output mode k.

    Raises:
        ShapeError: the lists differ in length, or have less than two modes.
    """
    if len(inputs) != len(outputs) or len(inputs) < 2:
        raise ShapeError(
            f"{len(inputs)} input modes and {len(outputs)} output modes: need the same number of "
            "each, at least 2",
            field="modes",
            value=[[sizes[index] for index in modes] for modes in (inputs, outputs)],
            remedy="use modes of size 1 to fill the shorter list",
        )
    return len(inputs)


def rank_list(
    ranks: int | Sequence[int], count: int, field: str, each: str, least: int = 1
) -> tuple[int, ...]:
    """One rank for each of `count` bonds, from one rank for all or a list.

    Raises:
        ShapeError: the list has another length, or a rank is less than `least`.
    """
    found = (ranks,) * count if isinstance(ranks, int) else tuple(ranks)
    if len(found) != count:
        raise ShapeError(f"need one rank for each of {count} {each}", field=field, value=ranks)
    if min(found, default=least) < least:
        raise ShapeError(f"must be at least {least}", field=field, value=ranks)
    return found


def factor(size: int) -> tuple[int, ...]:
    """Prime factors of a size in ascending order."""
    primes, rest, candidate = [], size, 2
    while candidate * candidate <= rest:
        while rest % candidate == 0:
            primes.append(candidate)
            rest //= candidate
        candidate += 1
    return (*primes, rest) if rest > 1 else tuple(primes)


def suggest_modes(size: int, modes: int) -> tuple[int, ...]:
    """Factors of `size`, as equal as a greedy choice makes them, in ascending order."""
    parts = [1] * modes
    for prime in sorted(factor(size), reverse=True):
        parts[parts.index(min(parts))] *= prime
    return tuple(sorted(parts))


def suggest_padding(size: int) -> int:
    """The smallest size from `size` on that has no prime factor above 13."""
    while factor(size)[-1:] and factor(size)[-1] > _SMOOTH:
        size += 1
    return size


def size_remedy(size: int, modes: int) -> str:
    """What to do when the product of modes is not `size`: a factorisation, and a padded one."""
    if not 1 <= size <= _LARGEST or modes < 1:
        return f"choose modes whose product is {size}"
    text = f"for example {' x '.join(map(str, suggest_modes(size, modes)))} = {size}"
    padded = suggest_padding(size)
    if padded != size:
        text += (
            f", or pad the input to {padded} = {' x '.join(map(str, suggest_modes(padded, modes)))}"
        )
    return text


def check_product(field: str, modes: Sequence[int], size: int) -> None:
    """Raises ShapeError, with a factorisation that fits, unless the modes' product is `size`."""
    if math.prod(modes) != size:
        raise ShapeError(
            f"their product is {math.prod(modes)}, but {size} values are needed",
            field=field,
            value=list(modes),
            remedy=size_remedy(size, len(modes)),
        )


def check_ranks(network: TensorNetwork) -> None:
    """Raises ShapeError for a bond that is larger than can be of use, with the largest that can.

    A bond that joins two parts of the network is the rank of the matrix of one part's modes
    against the other's, which is at most the smaller of their products. Bonds of a ring join no
    two parts, and an index that numbers the terms of a sum is carried by more than two cores.
    """
    modes = {*network.inputs, *network.outputs}
    bonds = {index for core in network.cores for index in core.indices} - modes
    for bond in sorted(bonds):
        parts = _parts_without(network, bond)
        if len(parts) != 2:
            continue
        most = min(math.prod(network.sizes[index] for index in part & modes) for part in parts)
        if network.sizes[bond] > most:
            raise ShapeError(
                f"bond {bond} is larger than makes sense: it parts the matrix into "
                f"{network.input_size * network.output_size // most} x {most} values",
                field="ranks",
                value=network.sizes[bond],
                remedy=f"choose at most {most}",
            )


def _parts_without(network: TensorNetwork, bond: str) -> list[set[str]]:
    """Indices of the parts into which a network falls without a bond."""
    parts: list[set[str]] = []
    for core in network.cores:
        merged = {*core.indices} - {bond}
        apart = []
        for part in parts:
            if part & merged:
                merged |= part
            else:
                apart.append(part)
        parts = [*apart, merged]
    return parts

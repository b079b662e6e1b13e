"""Which ranks make sense for given modes, and multiples of ranks.

A rank is more than makes sense when an unfolding of the tensor, or of the core that has to carry
it, has fewer rows or columns: no matrix needs it, and there would be nothing to fill it with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Format,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.formats.modes import rank_list
from fdht_models.tensor.formats.trees import inner_nodes

#: What `scaled` multiplies, by format.
_SCALED: dict[type[Format], tuple[str, ...]] = {
    HierarchicalTucker: ("leaf_rank", "inner_rank"),
    TensorTrain: ("ranks",),
    TensorRing: ("ranks",),
    BlockTerm: ("rank",),
    Tucker: ("input_ranks", "output_ranks"),
    CanonicalPolyadic: ("rank",),
    KroneckerCp: ("terms",),
}


def check_usable(form: Format, input_modes: Sequence[int], output_modes: Sequence[int]) -> None:
    """Raises ShapeError, with the largest that makes sense, if a rank is larger than that.

    Where a format has one number for bonds of different sizes (`inner_rank` of HT, `rank` of BT
    and KCP), it is refused if none of them can use it.
    """
    fitting = limited(form, input_modes, output_modes)
    for entry in fields(form):
        found, most = getattr(form, entry.name), getattr(fitting, entry.name)
        if found != most:
            raise ShapeError(
                f"is more than modes {_times(input_modes)} and {_times(output_modes)} can use",
                field=entry.name,
                value=list(found) if isinstance(found, tuple) else found,
                remedy=f"use at most {list(most) if isinstance(most, tuple) else most}",
            )


def limited(form: Format, input_modes: Sequence[int], output_modes: Sequence[int]) -> Format:
    """The format with each rank no larger than makes sense for these modes.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    form.network(tuple(input_modes), tuple(output_modes))
    limit = _LIMITS.get(type(form))
    return form if limit is None else limit(form, tuple(input_modes), tuple(output_modes))


def scaled(
    form: Format, factor: float, input_modes: Sequence[int], output_modes: Sequence[int]
) -> Format:
    """The format with its ranks multiplied, at least 1, and no larger than makes sense.

    Multiplied are all ranks of HT, TT, TR, Tucker and CP, `rank` of BT and `terms` of KCP.
    """

    def multiple(rank: int) -> int:
        return rank and max(1, math.floor(rank * factor + 0.5))  # Tucker's 0 is no rank

    changes: dict[str, Any] = {}
    for name in _SCALED.get(type(form), ()):
        found = getattr(form, name)
        changes[name] = multiple(found) if isinstance(found, int) else tuple(map(multiple, found))
    return limited(replace(form, **changes), input_modes, output_modes)


def tucker_limits(sizes: Sequence[int], ranks: Sequence[int]) -> tuple[int, ...]:
    """Ranks of a Tucker tensor of these sizes, cut to what it can use; 0 leaves an axis whole.

    A factor has at most as many columns as rows, and an unfolding of the core at most as many rows
    as columns.
    """
    found = [min(rank, size) for rank, size in zip(ranks, sizes, strict=True)]
    while True:
        carried = [rank or size for rank, size in zip(found, sizes, strict=True)]
        total = math.prod(carried)
        cut = [min(rank, total // held) for rank, held in zip(found, carried, strict=True)]
        if cut == found:
            return tuple(cut)
        # One at a time: each cut lowers what the others may be.
        place = next(place for place, rank in enumerate(cut) if rank != found[place])
        found[place] = cut[place]


def _hierarchical(form: HierarchicalTucker, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    pairs = _pairs(inputs, outputs)
    total = math.prod(pairs)
    wanted = rank_list(form.leaf_rank, len(pairs), "leaf_rank", "leaves")
    ranks = tuple(min(rank, pair, total // pair) for rank, pair in zip(wanted, pairs, strict=True))
    found = {(k, k): rank for k, rank in enumerate(ranks, 1)}
    most = 0
    for node in inner_nodes(form.tree_of(len(pairs))):
        rows = found[node.first, node.split] * found[node.split + 1, node.last]
        within = math.prod(pairs[node.first - 1 : node.last])
        found[node.first, node.last] = min(form.inner_rank, rows, total // within)
        if (node.first, node.last) != (1, len(pairs)):
            most = max(most, found[node.first, node.last])
    return replace(form, leaf_rank=_like(form.leaf_rank, ranks), inner_rank=most or form.inner_rank)


def _train(form: TensorTrain, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    pairs = _pairs(inputs, outputs)
    wanted = rank_list(form.ranks, len(pairs) - 1, "ranks", "bonds between the modes")
    ranks: list[int] = []
    for k, rank in enumerate(wanted):
        rows = pairs[k] * (ranks[-1] if ranks else 1)
        ranks.append(min(rank, rows, math.prod(pairs[k + 1 :])))
    return replace(form, ranks=_like(form.ranks, tuple(ranks)))


def _ring(form: TensorRing, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    sizes = (*inputs, *outputs)
    count = len(sizes)
    ranks = list(rank_list(form.ranks, count, "ranks", "bonds of the ring"))
    while True:
        cut = [
            min(rank, sizes[k] * ranks[(k + 1) % count], sizes[k - 1] * ranks[k - 1])
            for k, rank in enumerate(ranks)
        ]
        if cut == ranks:
            return replace(form, ranks=_like(form.ranks, tuple(ranks)))
        place = next(place for place, rank in enumerate(cut) if rank != ranks[place])
        ranks[place] = cut[place]


def _tucker(form: Tucker, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    wanted = (
        *rank_list(form.input_ranks, len(inputs), "input_ranks", "modes", least=0),
        *rank_list(form.output_ranks, len(outputs), "output_ranks", "modes", least=0),
    )
    ranks = tucker_limits((*inputs, *outputs), wanted)
    return replace(
        form,
        input_ranks=_like(form.input_ranks, ranks[: len(inputs)]),
        output_ranks=_like(form.output_ranks, ranks[len(inputs) :]),
    )


def _canonical(form: CanonicalPolyadic, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    return replace(form, rank=min(form.rank, _most_terms((*inputs, *outputs))))


def _blocks(form: BlockTerm, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    pairs = _pairs(inputs, outputs)
    rank = max(tucker_limits(pairs, (form.rank,) * len(pairs)))
    return replace(form, blocks=min(form.blocks, _most_terms(pairs)), rank=rank)


def _kronecker(form: KroneckerCp, inputs: Sequence[int], outputs: Sequence[int]) -> Any:
    most = max(min(pair) for pair in zip(inputs, outputs, strict=True))
    terms = min(form.terms, _most_terms(_pairs(inputs, outputs)))
    return replace(form, terms=terms, rank=min(form.rank, most))


_LIMITS: dict[type[Format], Callable[..., Format]] = {
    HierarchicalTucker: _hierarchical,
    TensorTrain: _train,
    TensorRing: _ring,
    BlockTerm: _blocks,
    Tucker: _tucker,
    CanonicalPolyadic: _canonical,
    KroneckerCp: _kronecker,
}


def _most_terms(sizes: Sequence[int]) -> int:
    """A sum of so many rank-one terms is any tensor: one for each of its fibres."""
    return math.prod(sizes) // max(sizes)


def _pairs(inputs: Sequence[int], outputs: Sequence[int]) -> tuple[int, ...]:
    return tuple(n * m for n, m in zip(inputs, outputs, strict=True))


def _like(given: object, ranks: tuple[int, ...]) -> int | tuple[int, ...]:
    """Ranks as they were given: one number, if that is what they still are."""
    return ranks[0] if isinstance(given, int) and len({*ranks}) == 1 else ranks


def _times(modes: Sequence[int]) -> str:
    return " x ".join(map(str, modes))

"""Tensor train (TT) and tensor ring (TR)."""

from __future__ import annotations

from collections.abc import Sequence

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats.modes import check_paired, mode_sizes, names, rank_list
from fdht_models.tensor.network import Core, TensorNetwork


def tensor_train(
    input_modes: Sequence[int], output_modes: Sequence[int], ranks: int | Sequence[int]
) -> TensorNetwork:
    """Tensor train (Yang, Krompass, Tresp 2017): cores `G{k}` of n_k x m_k x r_{k-1} x r_k.

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d.
        ranks: r_1 .. r_{d-1}, or one for all; the ends are 1.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    modes = check_paired(input_modes, output_modes)
    bonds = rank_list(ranks, modes - 1, "ranks", "bonds between the modes")
    sizes = mode_sizes(input_modes, output_modes)
    sizes |= {f"r{k}": rank for k, rank in enumerate(bonds, 1)}
    cores = []
    for k in range(1, modes + 1):
        own = ([f"r{k - 1}"] if k > 1 else []) + ([f"r{k}"] if k < modes else [])
        cores.append(Core(f"G{k}", (f"i{k}", f"o{k}", *own)))
    return TensorNetwork("tt", sizes, names("i", modes), names("o", modes), tuple(cores))


def tensor_ring(
    input_modes: Sequence[int], output_modes: Sequence[int], ranks: int | Sequence[int]
) -> TensorNetwork:
    """Tensor ring (Pan et al. 2019): W = trace(I_1(i_1) .. I_p(i_p) O_1(o_1) .. O_q(o_q)).

    The ring runs over the input modes and then over the output modes, so that there need not be
    as many of one as of the other. Bond `r{k}` stands before core k + 1; `r0` closes the ring.

    Args:
        input_modes: n_1 .. n_p.
        output_modes: m_1 .. m_q.
        ranks: r_0 .. r_{p+q-1}, or one for all.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    sizes = mode_sizes(input_modes, output_modes)
    inputs, outputs = names("i", len(input_modes)), names("o", len(output_modes))
    count = len(inputs) + len(outputs)
    if count < 3:
        raise ShapeError(
            "a ring needs at least three modes",
            field="modes",
            value=[list(input_modes), list(output_modes)],
            remedy="split a mode",
        )
    bonds = rank_list(ranks, count, "ranks", "bonds of the ring (the first one closes it)")
    sizes |= {f"r{k}": rank for k, rank in enumerate(bonds)}
    cores = tuple(
        Core(mode.upper(), (f"r{k}", mode, f"r{(k + 1) % count}"))
        for k, mode in enumerate((*inputs, *outputs))
    )
    return TensorNetwork("tr", sizes, inputs, outputs, cores)

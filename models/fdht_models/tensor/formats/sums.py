"""Sums of simple terms: CP, Tucker, block-term Tucker (BT), Kronecker-CP (KCP); and dense.

An index that numbers the terms is carried by several cores and summed once, when the last of them
is contracted.
"""

from __future__ import annotations

from collections.abc import Sequence

from fdht_models.tensor.formats.modes import check_paired, mode_sizes, names, rank_list
from fdht_models.tensor.network import Core, TensorNetwork


def canonical_polyadic(
    input_modes: Sequence[int], output_modes: Sequence[int], rank: int
) -> TensorNetwork:
    """CP: W = sum over r of a_1(i_1, r) .. a_p(i_p, r) b_1(o_1, r) .. b_q(o_q, r).

    Args:
        input_modes: n_1 .. n_p; factors `A{k}` of n_k x R.
        output_modes: m_1 .. m_q; factors `B{k}` of m_k x R.
        rank: R, the number of terms.

    Raises:
        ShapeError: modes or rank are not positive.
    """
    sizes = mode_sizes(input_modes, output_modes)
    (sizes["r"],) = rank_list(rank, 1, "rank", "")
    inputs, outputs = names("i", len(input_modes)), names("o", len(output_modes))
    cores = (
        *(Core(f"A{k}", (mode, "r")) for k, mode in enumerate(inputs, 1)),
        *(Core(f"B{k}", (mode, "r")) for k, mode in enumerate(outputs, 1)),
    )
    return TensorNetwork("cp", sizes, inputs, outputs, cores)


def tucker(
    input_modes: Sequence[int],
    output_modes: Sequence[int],
    input_ranks: int | Sequence[int],
    output_ranks: int | Sequence[int],
) -> TensorNetwork:
    """Tucker: a core `G` of all ranks, a factor `A{k}` an input mode and `B{k}` an output mode.

    A rank of 0 leaves its mode whole: G carries the mode itself. Ranks (r, 0, 0) and (s) give the
    Tucker-2 layer of TedNet.

    Args:
        input_modes: n_1 .. n_p.
        output_modes: m_1 .. m_q.
        input_ranks: one for each input mode, or one for all; 0 for no factor.
        output_ranks: likewise for output modes.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    sizes = mode_sizes(input_modes, output_modes)
    inputs, outputs = names("i", len(input_modes)), names("o", len(output_modes))
    carried, factors = [], []
    for letter, modes, ranks, field in (
        ("A", inputs, input_ranks, "input_ranks"),
        ("B", outputs, output_ranks, "output_ranks"),
    ):
        wanted = rank_list(ranks, len(modes), field, "modes", least=0)
        for k, (mode, rank) in enumerate(zip(modes, wanted, strict=True), 1):
            if rank:
                bond = f"r_{mode}"
                sizes[bond] = rank
                factors.append(Core(f"{letter}{k}", (mode, bond)))
            carried.append(f"r_{mode}" if rank else mode)
    return TensorNetwork("tucker", sizes, inputs, outputs, (*factors, Core("G", tuple(carried))))


def block_term(
    input_modes: Sequence[int], output_modes: Sequence[int], blocks: int, rank: int
) -> TensorNetwork:
    """Block-term Tucker (Ye et al., CVPR 2018): N Tucker terms over paired modes (n_k, m_k).

    Factors `U{k}` of N x n_k x m_k x R and cores `G` of N x R x .. x R:
    N (R sum n_k m_k + R^d) parameters. N = 1 is Tucker over paired modes.

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d.
        blocks: N.
        rank: R of every mode.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    modes = check_paired(input_modes, output_modes)
    sizes = mode_sizes(input_modes, output_modes)
    (sizes["b"],) = rank_list(blocks, 1, "blocks", "")
    sizes |= {f"r{k}": size for k, size in enumerate(rank_list(rank, modes, "rank", "modes"), 1)}
    factors = [Core(f"U{k}", ("b", f"i{k}", f"o{k}", f"r{k}")) for k in range(1, modes + 1)]
    core = Core("G", ("b", *(f"r{k}" for k in range(1, modes + 1))))
    return TensorNetwork("bt", sizes, names("i", modes), names("o", modes), (*factors, core))


def kronecker_cp(
    input_modes: Sequence[int], output_modes: Sequence[int], terms: int, rank: int
) -> TensorNetwork:
    """Kronecker-CP in our construction (the definition of Wang et al. was not at hand):

    W = sum over s = 1..S of A_1^s (x) A_2^s (x) .. (x) A_d^s, a Kronecker tensor decomposition
    (Phan et al. 2012), whose factors A_k^s of m_k x n_k have CP rank R:
    A_k^s = sum over r of u_k^{s,r} (v_k^{s,r})^T.

    Cores `V{k}` of S x n_k x R and `U{k}` of S x m_k x R: S R sum (n_k + m_k) parameters. The input
    is multiplied in either order: with the Kronecker factors one by one (V and U of a mode merged
    into `A{k}`), or through the CP vectors (first V, then U).

    Args:
        input_modes: n_1 .. n_d.
        output_modes: m_1 .. m_d.
        terms: S.
        rank: R of every factor.

    Raises:
        ShapeError: modes and ranks do not fit together.
    """
    modes = check_paired(input_modes, output_modes)
    sizes = mode_sizes(input_modes, output_modes)
    (sizes["s"],) = rank_list(terms, 1, "terms", "")
    sizes |= {f"r{k}": size for k, size in enumerate(rank_list(rank, modes, "rank", "factors"), 1)}
    cores = []
    for k in range(1, modes + 1):
        cores.append(Core(f"V{k}", ("s", f"i{k}", f"r{k}")))
        cores.append(Core(f"U{k}", ("s", f"o{k}", f"r{k}")))
    return TensorNetwork("kcp", sizes, names("i", modes), names("o", modes), tuple(cores))


def dense(input_modes: Sequence[int], output_modes: Sequence[int]) -> TensorNetwork:
    """The matrix itself as one core `W`, for comparison.

    Raises:
        ShapeError: modes are not positive.
    """
    sizes = mode_sizes(input_modes, output_modes)
    inputs, outputs = names("i", len(input_modes)), names("o", len(output_modes))
    return TensorNetwork("dense", sizes, inputs, outputs, (Core("W", (*inputs, *outputs)),))

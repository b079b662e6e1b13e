"""Tensor formats: a format and its ranks as data, which build one TensorNetwork.

An experiment's file and a Keras layer's config name a format; nothing below knows about formats.
Each also lists the ways in which its cores can be stored: some formats have small cores that are
merged into others before anything runs. An index that numbers the terms of a sum is carried by
several cores and summed once, when the last of them is contracted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, TypeAlias

from fdht_models.errors import ConfigError, ShapeError, require_known
from fdht_models.tensor.formats.modes import check_paired, mode_sizes, names, rank_list
from fdht_models.tensor.formats.trees import (
    Tree,
    as_tree,
    balanced_tree,
    inner_nodes,
    leaves,
    merge_groups,
    transfer_owners,
    unbalanced_tree,
)
from fdht_models.tensor.network import Core, TensorNetwork

Modes: TypeAlias = "tuple[int, ...]"
Ranks: TypeAlias = "int | tuple[int, ...]"
Names: TypeAlias = "tuple[str, ...]"
#: Name of a stored core -> names of the cores that are merged into it.
Groups: TypeAlias = "dict[str, tuple[str, ...]]"

#: How the input of a Kronecker-CP matrix is multiplied: with the Kronecker factors one by one, or
#: through the CP vectors.
MULTIPLICATIONS = ("factors", "vectors")
_TREES = {"balanced": balanced_tree, "unbalanced": unbalanced_tree}


@dataclass(frozen=True)
class Format:
    """A decomposition with its ranks; subclasses are the formats."""

    name: ClassVar[str]

    def network(self, input_modes: Modes, output_modes: Modes) -> TensorNetwork:
        """The network of a (prod m) x (prod n) matrix with input modes n and output modes m.

        Raises:
            ShapeError: modes and ranks do not fit together.
        """
        sizes = mode_sizes(input_modes, output_modes)
        inputs, outputs = names("i", len(input_modes)), names("o", len(output_modes))
        cores = self.cores(inputs, outputs, sizes)
        return TensorNetwork(self.name, sizes, inputs, outputs, tuple(cores))

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """The cores of a network.

        Args:
            inputs: names of the input modes.
            outputs: names of the output modes.
            sizes: of the modes; those of the bonds are added.

        Raises:
            ShapeError: modes and ranks do not fit together.
        """
        raise NotImplementedError

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """Ways to store the network's cores; as they are, unless a format says otherwise."""
        yield {name: (name,) for name in network.core_names}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `format_from` reads back."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class HierarchicalTucker(Format):
    """Hierarchical Tucker (Yin et al. 2020, section 3); with the hidden state integrated, FDHT.

    Leaf frames `U{k}` of n_k x m_k x r_k, transfer tensors `B{a}_{b}` of r_left x r_right x
    r_node, and a root of r_left x r_right.

    Args:
        leaf_rank: rank of every leaf, or one rank a leaf.
        inner_rank: rank of every inner node but the root.
        tree: dimension tree with leaves 1 .. d from left to right: "balanced", "unbalanced", or
            nested pairs.
    """

    name: ClassVar[str] = "ht"
    leaf_rank: Ranks
    inner_rank: int
    tree: Any = "balanced"

    def __post_init__(self) -> None:
        if isinstance(self.tree, str):
            hint = " or write nested pairs"
            require_known(self.tree, _TREES, "tree", "is not a dimension tree", hint=hint)
        else:
            object.__setattr__(self, "tree", as_tree(self.tree))

    def tree_of(self, modes: int) -> Tree:
        """The tree over so many modes."""
        return _TREES[self.tree](modes) if isinstance(self.tree, str) else as_tree(self.tree)

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        modes = check_paired(inputs, outputs, sizes)
        tree = self.tree_of(modes)
        if leaves(tree) != tuple(range(1, modes + 1)):
            raise ShapeError(
                f"its leaves must be 1..{modes} from left to right",
                field="tree",
                value=tree,
                remedy=f"for example {balanced_tree(modes)}",
            )
        ranks = rank_list(self.leaf_rank, modes, "leaf_rank", "leaves")
        (inner,) = rank_list(self.inner_rank, 1, "inner_rank", "")
        sizes |= {f"r{k}": rank for k, rank in enumerate(ranks, 1)}
        cores = [Core(f"U{k}", (f"i{k}", f"o{k}", f"r{k}")) for k in range(1, modes + 1)]
        for node in inner_nodes(tree):
            indices = [_bond(node.first, node.split), _bond(node.split + 1, node.last)]
            if (node.first, node.last) != (1, modes):
                indices.append(_bond(node.first, node.last))
                sizes[indices[-1]] = inner
            cores.append(Core(node.name, tuple(indices)))
        return cores

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """Chains of one core a mode, for every way to share out the transfer tensors."""
        tree = self.tree_of(len(network.inputs))
        for owners in transfer_owners(tree):
            yield merge_groups(tree, owners)


def _bond(first: int, last: int) -> str:
    return f"r{first}" if first == last else f"t{first}_{last}"


@dataclass(frozen=True)
class TensorTrain(Format):
    """Tensor train (Yang, Krompass, Tresp 2017): cores `G{k}` of n_k x m_k x r_{k-1} x r_k.

    Args:
        ranks: r_1 .. r_{d-1}, or one for all; the ends are 1.
    """

    name: ClassVar[str] = "tt"
    ranks: Ranks

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        modes = check_paired(inputs, outputs, sizes)
        bonds = rank_list(self.ranks, modes - 1, "ranks", "bonds between the modes")
        sizes |= {f"r{k}": rank for k, rank in enumerate(bonds, 1)}
        cores = []
        for k in range(1, modes + 1):
            own = ([f"r{k - 1}"] if k > 1 else []) + ([f"r{k}"] if k < modes else [])
            cores.append(Core(f"G{k}", (f"i{k}", f"o{k}", *own)))
        return cores


@dataclass(frozen=True)
class TensorRing(Format):
    """Tensor ring (Pan et al. 2019): W = trace(I_1(i_1) .. I_p(i_p) O_1(o_1) .. O_q(o_q)).

    The ring runs over the input modes and then over the output modes, so that there need not be
    as many of one as of the other. Bond `r{k}` stands before core k + 1; `r0` closes the ring.

    Args:
        ranks: r_0 .. r_{p+q-1}, or one for all.
    """

    name: ClassVar[str] = "tr"
    ranks: Ranks

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        count = len(inputs) + len(outputs)
        if count < 3:
            raise ShapeError(
                "a ring needs at least three modes",
                field="modes",
                value=[[sizes[index] for index in modes] for modes in (inputs, outputs)],
                remedy="split a mode",
            )
        bonds = rank_list(self.ranks, count, "ranks", "bonds of the ring (the first one closes it)")
        sizes |= {f"r{k}": rank for k, rank in enumerate(bonds)}
        return [
            Core(mode.upper(), (f"r{k}", mode, f"r{(k + 1) % count}"))
            for k, mode in enumerate((*inputs, *outputs))
        ]


@dataclass(frozen=True)
class CanonicalPolyadic(Format):
    """CP: W = sum over r of a_1(i_1, r) .. a_p(i_p, r) b_1(o_1, r) .. b_q(o_q, r).

    Factors `A{k}` of n_k x R and `B{k}` of m_k x R.

    Args:
        rank: R, the number of terms.
    """

    name: ClassVar[str] = "cp"
    rank: int

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        (sizes["r"],) = rank_list(self.rank, 1, "rank", "")
        return [
            Core(f"{letter}{k}", (mode, "r"))
            for letter, modes in (("A", inputs), ("B", outputs))
            for k, mode in enumerate(modes, 1)
        ]


@dataclass(frozen=True)
class Tucker(Format):
    """Tucker: a core `G` of all ranks, a factor `A{k}` an input mode and `B{k}` an output mode.

    A rank of 0 leaves its mode whole: G carries the mode itself. Ranks (r, 0, 0) and (s) give the
    Tucker-2 layer of TedNet.

    Args:
        input_ranks: one for each input mode, or one for all; 0 for no factor.
        output_ranks: likewise for output modes.
    """

    name: ClassVar[str] = "tucker"
    input_ranks: Ranks
    output_ranks: Ranks

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        carried, factors = [], []
        for letter, modes, ranks, field in (
            ("A", inputs, self.input_ranks, "input_ranks"),
            ("B", outputs, self.output_ranks, "output_ranks"),
        ):
            wanted = rank_list(ranks, len(modes), field, "modes", least=0)
            for k, (mode, rank) in enumerate(zip(modes, wanted, strict=True), 1):
                if rank:
                    sizes[f"r_{mode}"] = rank
                    factors.append(Core(f"{letter}{k}", (mode, f"r_{mode}")))
                carried.append(f"r_{mode}" if rank else mode)
        return [*factors, Core("G", tuple(carried))]


@dataclass(frozen=True)
class BlockTerm(Format):
    """Block-term Tucker (Ye et al., CVPR 2018): N Tucker terms over paired modes (n_k, m_k).

    Factors `U{k}` of N x n_k x m_k x R and cores `G` of N x R x .. x R:
    N (R sum n_k m_k + R^d) parameters. N = 1 is Tucker over paired modes.

    Args:
        blocks: N.
        rank: R of every mode.
    """

    name: ClassVar[str] = "bt"
    blocks: int
    rank: int

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        modes = check_paired(inputs, outputs, sizes)
        (sizes["b"],) = rank_list(self.blocks, 1, "blocks", "")
        ranks = rank_list(self.rank, modes, "rank", "modes")
        sizes |= {f"r{k}": rank for k, rank in enumerate(ranks, 1)}
        factors = [Core(f"U{k}", ("b", f"i{k}", f"o{k}", f"r{k}")) for k in range(1, modes + 1)]
        return [*factors, Core("G", ("b", *names("r", modes)))]

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """The Tucker cores on their own, or merged into one of the factors."""
        yield from super().storages(network)
        factors = [name for name in network.core_names if name != "G"]
        for owner in factors:
            yield {name: (name, "G") if name == owner else (name,) for name in factors}


@dataclass(frozen=True)
class KroneckerCp(Format):
    """Kronecker-CP in our construction (the definition of Wang et al. was not at hand):

    W = sum over s = 1..S of A_1^s (x) A_2^s (x) .. (x) A_d^s, a Kronecker tensor decomposition
    (Phan et al. 2012), whose factors A_k^s of m_k x n_k have CP rank R:
    A_k^s = sum over r of u_k^{s,r} (v_k^{s,r})^T.

    Cores `V{k}` of S x n_k x R and `U{k}` of S x m_k x R: S R sum (n_k + m_k) parameters. The input
    is multiplied in either order: with the Kronecker factors one by one (V and U of a mode merged
    into `A{k}`), or through the CP vectors (first V, then U).

    Args:
        terms: S.
        rank: R of every factor.
        multiplication: one of `MULTIPLICATIONS`.
    """

    name: ClassVar[str] = "kcp"
    terms: int
    rank: int
    multiplication: str = "factors"

    def __post_init__(self) -> None:
        problem = "is not an order of multiplication"
        require_known(self.multiplication, MULTIPLICATIONS, "multiplication", problem)

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        modes = check_paired(inputs, outputs, sizes)
        (sizes["s"],) = rank_list(self.terms, 1, "terms", "")
        ranks = rank_list(self.rank, modes, "rank", "factors")
        sizes |= {f"r{k}": rank for k, rank in enumerate(ranks, 1)}
        return [
            Core(f"{letter}{k}", ("s", f"{mode}{k}", f"r{k}"))
            for k in range(1, modes + 1)
            for letter, mode in (("V", "i"), ("U", "o"))
        ]

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """The Kronecker factors, or the CP vectors."""
        if self.multiplication == "vectors":
            yield from super().storages(network)
        else:
            modes = range(1, len(network.inputs) + 1)
            yield {f"A{k}": (f"V{k}", f"U{k}") for k in modes}


@dataclass(frozen=True)
class Dense(Format):
    """The matrix itself as one core `W`, for comparison."""

    name: ClassVar[str] = "dense"

    def cores(self, inputs: Names, outputs: Names, sizes: dict[str, int]) -> list[Core]:
        """See `Format.cores`."""
        return [Core("W", (*inputs, *outputs))]


#: All formats by name.
FORMATS: dict[str, type[Format]] = {kind.name: kind for kind in Format.__subclasses__()}


def format_from(value: Mapping[str, Any]) -> Format:
    """A format from its name and ranks, as `Format.to_json` gives them; None stands for absent.

    Raises:
        ConfigError: no such format, or a key that it lacks or does not have.
        ShapeError: a tree that is none.
    """
    name = value.get("name")
    require_known(name, FORMATS, "format", "is not a format")
    kind = FORMATS[str(name)]
    given = {key: item for key, item in value.items() if key != "name" and item is not None}
    known = {entry.name: entry.default is MISSING for entry in fields(kind)}
    for key in given:
        if key not in known:
            raise ConfigError(
                f"is not a setting of format '{name}'",
                field=key,
                value=given[key],
                remedy=f"it has {', '.join(known) or 'none'}",
            )
    for key, needed in known.items():
        if needed and key not in given:
            raise ConfigError(f"is missing; format '{name}' needs it", field=key)
    lists = {key: tuple(item) if isinstance(item, list) and key != "tree" else item
             for key, item in given.items()}  # fmt: skip
    return kind(**lists)

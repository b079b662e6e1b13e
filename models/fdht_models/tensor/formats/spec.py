"""A format and its ranks as data: what an experiment file and a Keras layer's config name.

Each specification builds the TensorNetwork of given modes, and lists the ways in which its cores
can be stored: some formats have small cores that are merged into others before anything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, TypeAlias

from fdht_models.errors import ConfigError, require_known
from fdht_models.tensor.formats.hierarchical import (
    Tree,
    as_tree,
    balanced_tree,
    hierarchical_tucker,
    merge_groups,
    transfer_owners,
    unbalanced_tree,
)
from fdht_models.tensor.formats.sums import (
    block_term,
    canonical_polyadic,
    dense,
    kronecker_cp,
    tucker,
)
from fdht_models.tensor.formats.trains import tensor_ring, tensor_train
from fdht_models.tensor.network import TensorNetwork

Modes: TypeAlias = "tuple[int, ...]"
Ranks: TypeAlias = "int | tuple[int, ...]"
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
    #: Builds the network of input modes, output modes and ranks.
    build: ClassVar[Callable[..., TensorNetwork]]

    def network(self, input_modes: Modes, output_modes: Modes) -> TensorNetwork:
        """The network of a matrix with these modes.

        Raises:
            ShapeError: modes and ranks do not fit together.
        """
        ranks = (getattr(self, entry.name) for entry in fields(self))
        return type(self).build(input_modes, output_modes, *ranks)

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """Ways to store the network's cores; as they are, unless a format says otherwise."""
        yield {name: (name,) for name in network.core_names}

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `format_from` reads back."""
        return {"name": self.name, **asdict(self)}


@dataclass(frozen=True)
class HierarchicalTucker(Format):
    """See `hierarchical_tucker`. `tree` is "balanced", "unbalanced", or nested pairs."""

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

    def network(self, input_modes: Modes, output_modes: Modes) -> TensorNetwork:
        """See `Format.network`."""
        tree = self.tree_of(len(input_modes))
        return hierarchical_tucker(input_modes, output_modes, self.leaf_rank, self.inner_rank, tree)

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """Chains of one core a mode, for every way to share out the transfer tensors."""
        tree = self.tree_of(len(network.inputs))
        for owners in transfer_owners(tree):
            yield merge_groups(tree, owners)


@dataclass(frozen=True)
class TensorTrain(Format):
    """See `tensor_train`."""

    name: ClassVar[str] = "tt"
    build = staticmethod(tensor_train)
    ranks: Ranks


@dataclass(frozen=True)
class TensorRing(Format):
    """See `tensor_ring`."""

    name: ClassVar[str] = "tr"
    build = staticmethod(tensor_ring)
    ranks: Ranks


@dataclass(frozen=True)
class CanonicalPolyadic(Format):
    """See `canonical_polyadic`."""

    name: ClassVar[str] = "cp"
    build = staticmethod(canonical_polyadic)
    rank: int


@dataclass(frozen=True)
class Tucker(Format):
    """See `tucker`."""

    name: ClassVar[str] = "tucker"
    build = staticmethod(tucker)
    input_ranks: Ranks
    output_ranks: Ranks


@dataclass(frozen=True)
class BlockTerm(Format):
    """See `block_term`."""

    name: ClassVar[str] = "bt"
    build = staticmethod(block_term)
    blocks: int
    rank: int

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """The Tucker cores on their own, or merged into one of the factors."""
        yield from super().storages(network)
        factors = [name for name in network.core_names if name != "G"]
        for owner in factors:
            yield {name: (name, "G") if name == owner else (name,) for name in factors}


@dataclass(frozen=True)
class KroneckerCp(Format):
    """See `kronecker_cp`. `multiplication` is one of `MULTIPLICATIONS`."""

    name: ClassVar[str] = "kcp"
    terms: int
    rank: int
    multiplication: str = "factors"

    def __post_init__(self) -> None:
        problem = "is not an order of multiplication"
        require_known(self.multiplication, MULTIPLICATIONS, "multiplication", problem)

    def network(self, input_modes: Modes, output_modes: Modes) -> TensorNetwork:
        """See `Format.network`."""
        return kronecker_cp(input_modes, output_modes, self.terms, self.rank)

    def storages(self, network: TensorNetwork) -> Iterator[Groups]:
        """The Kronecker factors, or the CP vectors."""
        if self.multiplication == "vectors":
            yield from super().storages(network)
        else:
            modes = range(1, len(network.inputs) + 1)
            yield {f"A{k}": (f"V{k}", f"U{k}") for k in modes}


@dataclass(frozen=True)
class Dense(Format):
    """See `dense`."""

    name: ClassVar[str] = "dense"
    build = staticmethod(dense)


#: All formats by name.
FORMATS: dict[str, type[Format]] = {
    kind.name: kind
    for kind in (
        HierarchicalTucker,
        TensorTrain,
        TensorRing,
        BlockTerm,
        Tucker,
        CanonicalPolyadic,
        KroneckerCp,
        Dense,
    )
}


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

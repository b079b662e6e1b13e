"""Tensor formats: constructors of one TensorNetwork. Nothing below them knows about formats."""

from fdht_models.tensor.formats.hierarchical import Tree, as_tree, inner_nodes
from fdht_models.tensor.formats.modes import check_product, check_ranks
from fdht_models.tensor.formats.spec import (
    FORMATS,
    MULTIPLICATIONS,
    BlockTerm,
    CanonicalPolyadic,
    Dense,
    Format,
    Groups,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
    format_from,
)

__all__ = [
    "FORMATS",
    "MULTIPLICATIONS",
    "BlockTerm",
    "CanonicalPolyadic",
    "Dense",
    "Format",
    "Groups",
    "HierarchicalTucker",
    "KroneckerCp",
    "TensorRing",
    "TensorTrain",
    "Tree",
    "Tucker",
    "as_tree",
    "check_product",
    "check_ranks",
    "format_from",
    "inner_nodes",
]

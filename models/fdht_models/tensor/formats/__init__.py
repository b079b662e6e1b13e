"""Tensor formats: constructors of one TensorNetwork. Nothing below them knows about formats."""

from fdht_models.tensor.formats.hierarchical import hierarchical_tucker
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
from fdht_models.tensor.formats.sums import (
    block_term,
    canonical_polyadic,
    dense,
    kronecker_cp,
    tucker,
)
from fdht_models.tensor.formats.trains import tensor_ring, tensor_train
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
    "balanced_tree",
    "block_term",
    "canonical_polyadic",
    "check_product",
    "check_ranks",
    "dense",
    "format_from",
    "hierarchical_tucker",
    "inner_nodes",
    "kronecker_cp",
    "leaves",
    "merge_groups",
    "tensor_ring",
    "tensor_train",
    "transfer_owners",
    "tucker",
    "unbalanced_tree",
]

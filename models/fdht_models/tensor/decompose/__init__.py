"""Decomposition of a dense matrix into every tensor format.

    from fdht_models.tensor.decompose import decompose
    found = decompose(matrix, HierarchicalTucker(4, 4), (8, 20, 20, 18), (16, 4, 4, 4))
    print(found.error, found.bound)

Needs NumPy, and tensorly for all formats but HT, TT and dense.
"""

from fdht_models.tensor.decompose.api import MOST_VALUES, Decomposition, decompose
from fdht_models.tensor.decompose.ranks import check_usable, limited, scaled
from fdht_models.tensor.decompose.unfolding import Fitting

__all__ = [
    "MOST_VALUES",
    "Decomposition",
    "Fitting",
    "check_usable",
    "decompose",
    "limited",
    "scaled",
]

"""Decomposition by singular values: what HT and TT promise; and what all formats have to do."""

from __future__ import annotations

import math
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import NumericError, ShapeError, ToolError
from fdht_models.tensor.decompose import MOST_VALUES, Decomposition, Fitting, decompose, limited
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Dense,
    Format,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.formats.trees import Tree, inner_nodes
from tests.models.inexact import UNIT_64, gamma
from tests.models.strategies import SEEDS, Real, random_arrays, trees

#: Larger than any rank that these modes can use, so that `limited` gives full ranks.
FULL = 1024
#: One of every format, with modes that suit it.
FORMATS: dict[str, tuple[Format, tuple[int, ...], tuple[int, ...]]] = {
    "ht": (HierarchicalTucker(2, 3), (3, 4, 2), (4, 2, 2)),
    "ht-unbalanced": (
        HierarchicalTucker((2, 3, 2, 1), 2, "unbalanced"),
        (3, 2, 2, 2),
        (2, 2, 2, 1),
    ),
    "tt": (TensorTrain((2, 3)), (3, 4, 2), (4, 2, 2)),
    "tr": (TensorRing((2, 2, 3, 2)), (3, 4), (4, 3)),
    "tr-random-start": (TensorRing(3), (3, 4), (4, 3)),
    "bt": (BlockTerm(2, 2), (3, 4, 2), (4, 2, 2)),
    "tucker": (Tucker((2, 0), (0, 3)), (3, 4), (4, 3)),
    "cp": (CanonicalPolyadic(4), (3, 4), (4, 3)),
    "kcp": (KroneckerCp(2, 1), (3, 4, 2), (4, 2, 2)),
    "dense": (Dense(), (3, 4), (4, 3)),
}
QUICK = Fitting(sweeps=6)
EVERY = pytest.mark.parametrize(("form", "inputs", "outputs"), FORMATS.values(), ids=FORMATS)


def normal(rows: int, columns: int, seed: int = 0) -> Real:
    return np.random.default_rng(seed).normal(size=(rows, columns))


def sizes_of(generator: np.random.Generator, modes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Input and output modes, some of size 1."""
    largest = {2: 6, 3: 4, 4: 3, 5: 2}[modes]
    inputs, outputs = generator.integers(1, largest + 1, (2, modes)).tolist()
    return tuple(inputs), tuple(outputs)


def measured(found: Decomposition, matrix: Real) -> float:
    """The relative error, anew."""
    found.network.check(found.arrays)
    return float(
        np.linalg.norm(found.network.dense(found.arrays) - matrix) / np.linalg.norm(matrix)
    )


def rounding(matrix: Real, steps: int) -> float:
    """Largest relative error, in the Frobenius norm, that rounding makes in so many steps.

    A step factors or multiplies a matrix with some r rows and c columns, r c <= size, by
    Householder transformations or a product with an orthonormal matrix. Each is backward stable:
    |dA| <= r gamma(k c) |A| with a small constant k (Higham, theorems 19.4 and 19.5: "k is of the
    order of 10"). Orthonormal factors pass an error on as it is, so errors of steps add up.
    """
    return steps * gamma(10 * matrix.size, UNIT_64)


def tails(matrix: Real, inputs: tuple[int, ...], outputs: tuple[int, ...], spans: dict) -> float:
    """Sum over spans of modes of the squares of A's own singular values beyond their ranks."""
    modes = len(inputs)
    order = [axis for k in range(modes) for axis in (modes + k, k)]
    tensor = matrix.reshape(*outputs, *inputs).transpose(order)
    total = 0.0
    for (first, last), rank in spans.items():
        inside = [axis for k in range(first - 1, last) for axis in (2 * k, 2 * k + 1)]
        outside = [axis for axis in range(2 * modes) if axis not in inside]
        rows = math.prod(tensor.shape[axis] for axis in inside)
        unfolding = tensor.transpose(inside + outside).reshape(rows, -1)
        values = np.linalg.svd(unfolding, compute_uv=False)
        total += float(np.sum(values[rank:] ** 2))
    return total


def tree_spans(tree: Tree, leaf_ranks: tuple[int, ...], inner: int) -> dict:
    """Rank of each distinct unfolding: the root's two children have the same one, counted once."""
    modes = len(leaf_ranks)
    spans = {(k, k): rank for k, rank in enumerate(leaf_ranks, 1)}
    nodes = list(inner_nodes(tree))
    spans |= {(node.first, node.last): inner for node in nodes[:-1]}
    split = nodes[-1].split
    second = spans.pop((split + 1, modes))
    spans[1, split] = min(spans[1, split], second)
    return spans


# Hierarchical Tucker and tensor train -----------------------------------------------------------


@given(st.data(), st.integers(2, 5), SEEDS)
@settings(max_examples=40)
def test_ht_keeps_both_bounds(data, modes, seed):
    generator = np.random.default_rng(seed)
    inputs, outputs = sizes_of(generator, modes)
    tree = data.draw(trees(modes))
    wanted = HierarchicalTucker(
        tuple(generator.integers(1, 6, modes).tolist()), int(generator.integers(1, 6)), tree
    )
    form = limited(wanted, inputs, outputs)
    assert isinstance(form, HierarchicalTucker)
    matrix = normal(math.prod(outputs), math.prod(inputs), seed)
    found = decompose(matrix, form, inputs, outputs)
    noise = rounding(matrix, 4 * modes)
    assert abs(measured(found, matrix) - found.error) <= noise
    # Projections one after the other: by Pythagoras the discarded singular values are the error.
    assert found.bound is not None
    assert abs(found.error - found.bound) <= noise
    # Each discards at most what the matrix itself has beyond the rank, and the best approximation
    # misses at least that of any one of the 2 d - 3 unfoldings. Their sum is the sharper bound.
    leaf_ranks = form.leaf_rank if isinstance(form.leaf_rank, tuple) else (form.leaf_rank,) * modes
    spans = tree_spans(tree, leaf_ranks, form.inner_rank)
    assert len(spans) == 2 * modes - 3
    allowed = math.sqrt(tails(matrix, inputs, outputs, spans)) / np.linalg.norm(matrix)
    assert found.error <= allowed + noise


@given(st.data(), st.integers(2, 5), SEEDS, st.floats(1e-6, 0.3))
@settings(max_examples=25)
def test_ht_is_within_the_root_of_2d_minus_3_of_the_best(data, modes, seed, size):
    """Some HT tensor plus noise: the best approximation is at least as near as that tensor is."""
    generator = np.random.default_rng(seed)
    inputs, outputs = sizes_of(generator, modes)
    wanted = HierarchicalTucker(2, 2, data.draw(trees(modes)))
    form = limited(wanted, inputs, outputs)
    network = form.network(inputs, outputs)
    exact = network.dense(random_arrays(network, seed))
    noise = generator.normal(size=exact.shape)
    noise *= size * np.linalg.norm(exact) / np.linalg.norm(noise)
    found = decompose(exact + noise, form, inputs, outputs)
    best = np.linalg.norm(noise) / np.linalg.norm(exact + noise)
    assert found.error <= math.sqrt(2 * modes - 3) * best + rounding(exact, 4 * modes)


@given(st.data(), st.integers(2, 5), SEEDS)
@settings(max_examples=30)
def test_ht_recovers_what_has_these_ranks(data, modes, seed):
    generator = np.random.default_rng(seed)
    inputs, outputs = sizes_of(generator, modes)
    ranks = tuple(generator.integers(1, 5, modes).tolist())
    wanted = HierarchicalTucker(ranks, int(generator.integers(1, 5)), data.draw(trees(modes)))
    form = limited(wanted, inputs, outputs)
    network = form.network(inputs, outputs)
    matrix = network.dense(random_arrays(network, seed))
    assert decompose(matrix, form, inputs, outputs).error <= rounding(matrix, 4 * modes)


@pytest.mark.parametrize("kind", ["balanced", "unbalanced", "tt", "tucker"])
@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ((4, 3), (2, 5)),
        ((2, 3, 4), (3, 2, 1)),
        ((2, 3, 2, 2), (2, 2, 3, 1)),
        ((1, 3, 1), (1, 4, 1)),
    ],
)
def test_full_ranks_are_exact(kind, inputs, outputs):
    form: Format = HierarchicalTucker(FULL, FULL, kind if kind == "unbalanced" else "balanced")
    if kind == "tt":
        form = TensorTrain(FULL)
    elif kind == "tucker":
        form = Tucker(FULL, FULL)
    matrix = normal(math.prod(outputs), math.prod(inputs))
    full = limited(form, inputs, outputs)
    assert decompose(matrix, full, inputs, outputs).error <= rounding(matrix, 4 * len(inputs))


@given(st.integers(2, 5), SEEDS)
@settings(max_examples=30)
def test_tt_keeps_its_bounds_and_recovers(modes, seed):
    generator = np.random.default_rng(seed)
    inputs, outputs = sizes_of(generator, modes)
    wanted = TensorTrain(tuple(generator.integers(1, 6, modes - 1).tolist()))
    form = limited(wanted, inputs, outputs)
    assert isinstance(form, TensorTrain)
    matrix = normal(math.prod(outputs), math.prod(inputs), seed)
    found = decompose(matrix, form, inputs, outputs)
    noise = rounding(matrix, 4 * modes)
    assert abs(measured(found, matrix) - found.error) <= noise
    assert found.bound is not None
    assert abs(found.error - found.bound) <= noise
    ranks = form.ranks if isinstance(form.ranks, tuple) else (form.ranks,) * (modes - 1)
    spans = {(1, k): rank for k, rank in enumerate(ranks, 1)}  # d - 1 unfoldings
    allowed = math.sqrt(tails(matrix, inputs, outputs, spans)) / np.linalg.norm(matrix)
    assert found.error <= allowed + noise
    network = form.network(inputs, outputs)
    exact = network.dense(random_arrays(network, seed))
    assert decompose(exact, form, inputs, outputs).error <= rounding(exact, 4 * modes)


def test_ht_of_two_modes_is_the_truncated_svd():
    """Van Loan and Pitsianis: the rearranged matrix, and the best approximation there is."""
    matrix = normal(15, 8)
    rearranged = matrix.reshape(3, 5, 2, 4).transpose(2, 0, 3, 1).reshape(6, 20)
    values = np.linalg.svd(rearranged, compute_uv=False)
    for rank in range(1, 7):
        wanted = math.sqrt(np.sum(values[rank:] ** 2)) / np.linalg.norm(matrix)
        for form in (HierarchicalTucker(rank, 1), TensorTrain(rank)):
            error = decompose(matrix, form, (2, 4), (3, 5)).error
            assert error == pytest.approx(wanted, abs=rounding(matrix, 8))


# Every format -----------------------------------------------------------------------------------


@EVERY
def test_the_stated_error_is_that_of_the_cores(form, inputs, outputs):
    matrix = normal(math.prod(outputs), math.prod(inputs), 1)
    found = decompose(matrix, form, inputs, outputs, QUICK)
    assert found.network == form.network(inputs, outputs)
    assert all(array.dtype == np.float64 for array in found.arrays.values())
    assert set(found.arrays) == set(found.network.core_names)
    # The same cores but for a power of two, and the same function of them.
    assert abs(measured(found, matrix) - found.error) <= rounding(matrix, 20)
    assert found.error <= 1
    if found.bound is not None:
        assert found.error <= found.bound + rounding(matrix, 20)
    again = decompose(matrix, form, inputs, outputs, QUICK)
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


@EVERY
def test_higher_ranks_do_not_fit_worse(form, inputs, outputs):
    """From one of each rank to those of the case: nested sets of matrices."""
    least: dict[str, Format] = {
        "ht": HierarchicalTucker(1, 1, getattr(form, "tree", "balanced")),
        "tt": TensorTrain(1),
        "tr": TensorRing(1),
        "bt": BlockTerm(1, 1),
        "tucker": Tucker(1, 1),
        "cp": CanonicalPolyadic(1),
        "kcp": KroneckerCp(1, 1),
        "dense": Dense(),
    }
    matrix = normal(math.prod(outputs), math.prod(inputs), 2)
    worst = decompose(matrix, least[form.name], inputs, outputs).error
    error = decompose(matrix, form, inputs, outputs).error
    assert error < worst if form.name != "dense" else error == 0


@EVERY
@pytest.mark.parametrize("exponent", [-1000, -3, 1020])
def test_the_matrix_may_be_of_any_size(form, inputs, outputs, exponent):
    """A power of two changes no digit of the fit: no norm over- or underflows."""
    matrix = normal(math.prod(outputs), math.prod(inputs), 3)
    found = decompose(matrix, form, inputs, outputs, QUICK)
    scaled = decompose(np.ldexp(matrix, exponent), form, inputs, outputs, QUICK)
    assert (scaled.error, scaled.bound) == (found.error, found.bound)
    back = np.ldexp(scaled.network.dense(scaled.arrays), -exponent)
    np.testing.assert_allclose(back, found.network.dense(found.arrays), rtol=0, atol=1e-13)


@EVERY
def test_a_matrix_of_zeros_gives_cores_that_can_be_trained(form, inputs, outputs):
    found = decompose(np.zeros((math.prod(outputs), math.prod(inputs))), form, inputs, outputs)
    assert (found.error, found.bound) == (0.0, 0.0)
    assert not found.network.dense(found.arrays).any()
    # One core is zero, so that its gradient, made of the others, is not.
    zero = [name for name, array in found.arrays.items() if not array.any()]
    assert zero == [found.network.core_names[-1]]


@EVERY
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(form, inputs, outputs, value):
    matrix = normal(math.prod(outputs), math.prod(inputs))
    matrix[1, 2] = value
    with pytest.raises(NumericError, match=rf"is {value} at \[1, 2\]; look where the training"):
        decompose(matrix, form, inputs, outputs)


@EVERY
def test_one_row_and_one_column(form, inputs, outputs):
    """A matrix with one entry that is not zero, and one of equal rows: rank 1 in every sense."""
    rows, columns = math.prod(outputs), math.prod(inputs)
    single = np.zeros((rows, columns))
    single[rows - 1, 3] = -2.0
    for matrix in (single, np.full((rows, columns), 3.0)):
        found = decompose(matrix, form, inputs, outputs)
        assert measured(found, matrix) <= rounding(matrix, 20)


@pytest.mark.parametrize("kind", ["float32", "int8", "float16"])
def test_other_types_are_taken(kind):
    matrix = (10 * normal(16, 24)).astype(kind)
    form, inputs, outputs = FORMATS["ht"]
    found = decompose(matrix, form, inputs, outputs)
    assert measured(found, matrix.astype(np.float64)) == pytest.approx(found.error, abs=1e-12)


def test_only_tucker_tensor_ring_and_sums_need_tensorly(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorly", None)
    for form, inputs, outputs in FORMATS.values():
        matrix = normal(math.prod(outputs), math.prod(inputs))
        if form.name in ("ht", "tt", "dense"):
            assert decompose(matrix, form, inputs, outputs).error <= 1
        elif form.name != "tr":  # which needs it where it begins with TR-SVD
            with pytest.raises(ToolError, match="tensorly is not installed; install the training"):
                decompose(matrix, form, inputs, outputs)


@pytest.mark.parametrize(
    ("form", "inputs", "outputs", "message"),
    [
        (Dense(), (3, 4), (4, 4), "output_modes = [4, 4]: their product is 16, but 12 values"),
        (Dense(), (3, 5), (4, 3), "input_modes = [3, 5]: their product is 15, but 12 values"),
        (TensorTrain(2), (12,), (12,), "1 input modes and 1 output modes"),
    ],
)
def test_modes_that_do_not_fit_are_refused(form, inputs, outputs, message):
    with pytest.raises(ShapeError) as caught:
        decompose(normal(12, 12), form, inputs, outputs)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "matrix", [np.zeros(12), np.zeros((3, 2, 2)), np.zeros((12, 12), complex), [["a"]]]
)
def test_what_is_no_matrix_is_refused(matrix):
    with pytest.raises(ShapeError, match=r"matrix = .*must be a matrix of real numbers"):
        decompose(matrix, Dense(), (12,), (12,))


def test_a_matrix_that_would_not_fit_into_memory_is_refused():
    rows = 2 * MOST_VALUES // 8192
    huge = np.broadcast_to(np.float32(1), (rows, 8192))  # one number in memory
    with pytest.raises(ShapeError, match=r"268,435,456 values \(2.0 GiB .* at most 134,217,728"):
        decompose(huge, TensorTrain(2), (64, 128), (rows // 64, 64))


@pytest.mark.parametrize(
    ("form", "inputs", "outputs"),
    [
        (HierarchicalTucker(4, 4), (8, 8, 8, 4), (8, 4, 4, 2)),
        (TensorTrain(4), (8, 8, 8, 4), (8, 4, 4, 2)),
        # 25 numbers a bond pair and 20 terms, beside modes of 2 to 8.
        (TensorRing(5), (8, 8, 4, 4, 2), (4, 8, 8)),
        (CanonicalPolyadic(20), (8, 8, 4, 4, 2), (4, 8, 8)),
        (BlockTerm(2, 4), (8, 8, 8, 4), (8, 4, 4, 2)),
        (KroneckerCp(6, 2), (8, 8, 8, 4), (8, 4, 4, 2)),
        (Tucker(2, 2), (8, 8, 8, 4), (8, 4, 4, 2)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_nothing_is_made_that_is_much_larger_than_the_matrix(form, inputs, outputs, monkeypatch):
    monkeypatch.setattr("fdht_models.tensor.decompose.sum_fits._MOST_FOR_TENSORLY", 0)
    matrix = normal(256, 2048)
    decompose(matrix[:2, :4], Tucker(1, 1), (2, 2), (2, 1))  # imports
    tracemalloc.start()
    try:
        decompose(matrix, form, inputs, outputs, Fitting(sweeps=2))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # LAPACK's copy of what it factors is not seen here; it is no larger than the matrix.
    assert peak <= 4.1 * matrix.nbytes

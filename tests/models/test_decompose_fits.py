"""Alternating least squares against tensorly's, what fits recover, and which ranks make sense."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ShapeError
from fdht_models.tensor.decompose import Fitting, check_usable, decompose, limited, scaled
from fdht_models.tensor.decompose.alternating import Operand, contract, refine
from fdht_models.tensor.decompose.unfolding import left_basis, mode_tensor
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    Dense,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
    Tucker,
)
from fdht_models.tensor.network import einsum_subscripts
from tests.models.strategies import SEEDS, random_arrays
from tests.models.test_decompose import EVERY, FORMATS, normal, rounding

tensorly = pytest.importorskip(
    "tensorly", reason="TENSORLY IS MISSING: fits are not checked (pip install tensorly)"
)


# Contraction ------------------------------------------------------------------------------------


@given(st.sampled_from(sorted(FORMATS)), SEEDS, st.integers(0, 6))
@settings(max_examples=40)
def test_contraction_value_by_value_changes_nothing(label, seed, shift):
    """All cores but one and the tensor, with ever less room, against one einsum."""
    form, inputs, outputs = FORMATS[label]
    network = form.network(inputs, outputs)
    arrays = random_arrays(network, seed)
    core = network.cores[seed % len(network.cores)]
    tensor = mode_tensor(network.dense(random_arrays(network, seed + 1)), inputs, outputs)
    operands = [Operand(tensor, (*network.inputs, *network.outputs))]
    operands += [Operand(arrays[one.name], one.indices) for one in network.cores if one is not core]
    subscripts = einsum_subscripts([one.indices for one in operands], core.indices)
    wanted = np.einsum(subscripts, *(one.array for one in operands))
    room = max(one.array.size for one in operands)
    found = contract(operands, core.indices, max(room, (room * 8) >> shift))
    size = np.einsum(subscripts, *(np.abs(one.array) for one in operands))
    # Every product passes fewer than `terms` additions and a multiplication an operand.
    terms = math.prod(network.sizes.values()) + len(operands)
    assert (np.abs(found - wanted) <= 2 * terms * 2.0**-53 / (1 - terms * 2.0**-53) * size).all()


def test_contraction_keeps_to_its_room(monkeypatch):
    """A CP factor of 50 terms beside a tensor of 1,000 values: 50 times that in one piece."""
    seen = []
    real = np.tensordot

    def watch(*arguments, **options):
        result = real(*arguments, **options)
        seen.append(result.size)
        return result

    monkeypatch.setattr(np, "tensordot", watch)
    tensor = np.ones((10, 10, 10))
    factors = [Operand(np.ones((10, 50)), (mode, "r")) for mode in ("a", "b")]
    found = contract([Operand(tensor, ("a", "b", "c")), *factors], ("c", "r"), 1000)
    np.testing.assert_array_equal(found, np.full((10, 50), 100.0))
    assert seen
    assert max(seen) <= 1000


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), SEEDS)
@settings(max_examples=30)
def test_left_basis_is_orthonormal_and_best(rows, columns, rank, seed):
    matrix = np.random.default_rng(seed).normal(size=(rows, columns))
    matrix[:, columns // 2 :] = 0  # often of lower rank than it could be
    basis, lost = left_basis(matrix, rank)
    assert basis.shape == (rows, rank)
    kept = min(rank, rows)
    noise = rounding(matrix, 20)
    np.testing.assert_allclose(
        basis.T @ basis, np.diag([1] * kept + [0] * (rank - kept)), atol=1e-13
    )
    values = np.linalg.svd(matrix, compute_uv=False)
    norm = np.linalg.norm(matrix)
    assert abs(lost - np.sum(values[rank:] ** 2)) <= noise * norm**2
    left = np.linalg.norm(matrix - basis @ (basis.T @ matrix))
    assert left <= math.sqrt(np.sum(values[rank:] ** 2)) + noise * norm


# Sweeps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sweeps", [1, 3])
def test_cp_sweeps_are_those_of_tensorly(sweeps):
    inputs, outputs = (4, 3), (3, 5)
    network = CanonicalPolyadic(2).network(inputs, outputs)
    start = random_arrays(network, 5)
    tensor = mode_tensor(normal(15, 12), inputs, outputs)
    found = refine(network, start, tensor, Fitting(sweeps, tolerance=-1.0))
    _, wanted = tensorly.decomposition.parafac(
        tensor, 2, init=(np.ones(2), list(start.values())), n_iter_max=sweeps, tol=0
    )
    for factor, name in zip(wanted, network.core_names, strict=True):
        # Two solvers of the same well-conditioned 2 x 2 equations.
        np.testing.assert_allclose(found[name], factor, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("ranks", [(2, 2, 2), (1, 2, 3)])
def test_ring_sweeps_are_those_of_tensorly(ranks):
    inputs, outputs = (4, 6), (5,)
    network = TensorRing(ranks).network(inputs, outputs)
    tensor = mode_tensor(normal(5, 24), inputs, outputs)
    cores = tensorly.random.random_tr(tensor.shape, [*ranks, ranks[0]], random_state=3)
    start = dict(zip(network.core_names, map(np.asarray, cores), strict=True))
    found = refine(network, start, tensor, Fitting(2, tolerance=-1.0))
    wanted = tensorly.decomposition.tensor_ring_als(
        tensor,
        [*ranks, ranks[0]],
        ls_solve="normal_eq",
        n_iter_max=2,
        tol=0,
        random_state=3,
    )
    for core, name in zip(wanted, network.core_names, strict=True):
        np.testing.assert_allclose(found[name], core, rtol=1e-8, atol=1e-10)


@EVERY
def test_no_sweep_makes_the_error_larger(form, inputs, outputs):
    network = form.network(inputs, outputs)
    matrix = normal(math.prod(outputs), math.prod(inputs), 4)
    tensor, norm = mode_tensor(matrix, inputs, outputs), np.linalg.norm(matrix)
    start = random_arrays(network, 6)
    errors = [np.linalg.norm(network.dense(start) - matrix) / norm]
    for sweeps in range(1, 7):
        arrays = refine(network, start, tensor, Fitting(sweeps, tolerance=-1.0))
        network.check(arrays)
        errors.append(np.linalg.norm(network.dense(arrays) - matrix) / norm)
    # Equations that are singular to rounding are solved to about its root.
    assert (np.diff(errors) <= 1e-7).all(), errors
    assert errors[-1] < errors[0]


def test_sweeps_leave_a_core_whose_equations_are_too_large(monkeypatch):
    monkeypatch.setattr("fdht_models.tensor.decompose.alternating._SMALL", 1)
    form, inputs, outputs = BlockTerm(1, 4), (2, 2, 2), (2, 2, 2)
    network = form.network(inputs, outputs)  # 64 numbers in G: 4,096 beside 64 of the matrix
    start = random_arrays(network, 0)
    matrix = normal(8, 8)
    found = refine(network, start, mode_tensor(matrix, inputs, outputs), Fitting(3))
    np.testing.assert_array_equal(found["G"], start["G"])
    assert np.linalg.norm(network.dense(found) - matrix) < np.linalg.norm(matrix)
    assert not np.array_equal(found["U1"], start["U1"])


def test_a_fit_ends_when_it_gains_no_more():
    matrix = normal(12, 12)
    few = decompose(matrix, CanonicalPolyadic(2), (3, 4), (4, 3), Fitting(500, tolerance=0.5))
    many = decompose(matrix, CanonicalPolyadic(2), (3, 4), (4, 3), Fitting(500))
    assert many.error < few.error


def test_large_tensors_are_left_to_our_own_sweeps(monkeypatch):
    """They reach what tensorly's reach, from the same start."""
    network = CanonicalPolyadic(3).network((3, 4), (4, 3))
    matrix = network.dense(random_arrays(network, 2)) + 0.05 * normal(12, 12, 8)
    through = decompose(matrix, CanonicalPolyadic(3), (3, 4), (4, 3), Fitting(300, 1e-10))
    monkeypatch.setattr("fdht_models.tensor.decompose.sum_fits._MOST_FOR_TENSORLY", 0)
    monkeypatch.setattr(
        "tensorly.decomposition.parafac", lambda *_, **__: pytest.fail("tensorly was called")
    )
    own = decompose(matrix, CanonicalPolyadic(3), (3, 4), (4, 3), Fitting(300, 1e-10))
    assert own.error == pytest.approx(through.error, abs=1e-6)


# What is recovered ------------------------------------------------------------------------------


@given(SEEDS, st.sampled_from(["cp", "kcp", "bt", "tr", "tucker", "tt", "ht"]))
@settings(max_examples=30)
def test_rank_one_is_recovered(seed, name):
    """Each core is exact after one sweep: the others, right but for a factor, are orthonormal."""
    forms = {
        "cp": CanonicalPolyadic(1),
        "kcp": KroneckerCp(1, 1),
        "bt": BlockTerm(1, 1),
        "tr": TensorRing(1),
        "tucker": Tucker(1, 1),
        "tt": TensorTrain(1),
        "ht": HierarchicalTucker(1, 1),
    }
    generator = np.random.default_rng(seed)
    inputs, outputs = (tuple(sizes) for sizes in generator.integers(1, 5, (2, 3)).tolist())
    network = CanonicalPolyadic(1).network(inputs, outputs)
    matrix = network.dense(random_arrays(network, seed))
    assert decompose(matrix, forms[name], inputs, outputs).error <= rounding(matrix, 40)


@pytest.mark.parametrize("modes", [((1, 1, 1), (3, 4, 1)), ((3, 4, 1), (1, 1, 1))])
@pytest.mark.parametrize(
    "form", [BlockTerm(1, 1), BlockTerm(2, 1), KroneckerCp(1, 1), Tucker(1, 1)]
)
def test_the_callers_matrix_is_not_changed(form, modes):
    """Of modes of 1, pairing them moves nothing: what is worked on must be a copy nevertheless."""
    inputs, outputs = modes
    matrix = (
        CanonicalPolyadic(1)
        .network(inputs, outputs)
        .dense(random_arrays(CanonicalPolyadic(1).network(inputs, outputs), 233))
    )
    before = matrix.copy()
    found = decompose(matrix, form, inputs, outputs)
    np.testing.assert_array_equal(matrix, before)
    assert found.error <= rounding(matrix, 40)


@pytest.mark.parametrize("seed", range(3))
def test_orthogonal_terms_are_recovered_by_cp(seed):
    """Of orthonormal factors with distinct weights, the singular vectors are the factors."""
    generator = np.random.default_rng(seed)
    factors = [np.linalg.qr(generator.normal(size=(5, 3)))[0] for _ in range(3)]
    tensor = np.einsum("ar,br,cr,r->cab", *factors, np.array([3.0, 2.0, 1.0]))
    matrix = tensor.reshape(5, 25)
    assert decompose(matrix, CanonicalPolyadic(3), (5, 5), (5,)).error <= rounding(matrix, 40)


@pytest.mark.parametrize("seed", range(3))
def test_a_kronecker_product_is_recovered(seed):
    generator = np.random.default_rng(seed)
    factors = [generator.normal(size=shape) for shape in ((2, 3), (3, 2), (2, 4))]
    matrix = np.kron(factors[0], np.kron(*factors[1:]))
    found = decompose(matrix, KroneckerCp(1, 2), (3, 2, 4), (2, 3, 2))
    assert found.error <= rounding(matrix, 40)


@pytest.mark.parametrize("seed", range(3))
def test_one_block_is_tucker(seed):
    form, inputs, outputs = BlockTerm(1, 2), (2, 3, 2), (3, 2, 2)
    network = form.network(inputs, outputs)
    matrix = network.dense(random_arrays(network, seed))
    assert decompose(matrix, form, inputs, outputs).error <= rounding(matrix, 40)


@pytest.mark.parametrize("turn", range(4))
def test_a_ring_that_svd_can_open_is_recovered(turn):
    """TR-SVD is exact where two neighbouring ranks fill a mode: here mode `turn`."""
    sizes = np.roll([4, 3, 5, 3], turn).tolist()
    ranks = tuple(np.roll([2, 2, 6, 6], turn).tolist())
    matrix = normal(math.prod(sizes[2:]), math.prod(sizes[:2]))
    found = decompose(matrix, TensorRing(ranks), sizes[:2], sizes[2:])
    assert found.error <= rounding(matrix, 40)


@pytest.mark.parametrize(
    ("form", "allowed"),
    [(TensorRing(2), 1e-6), (BlockTerm(2, 2), 0.1), (CanonicalPolyadic(3), 1e-6),
     (KroneckerCp(2, 2), 1e-6)],
    ids=lambda value: getattr(value, "name", ""),
)  # fmt: skip
def test_fits_come_near_what_has_these_ranks(form, allowed):
    """No promise, but from here most succeed: the median of three random tensors."""
    inputs, outputs = (3, 4, 5), (4, 2, 3)
    network = form.network(inputs, outputs)
    errors = [
        decompose(network.dense(random_arrays(network, seed)), form, inputs, outputs).error
        for seed in range(3)
    ]
    assert np.median(errors) <= allowed, errors


def test_tucker_is_within_the_root_of_its_factors():
    form, inputs, outputs = Tucker((2, 0, 2), (2, 2)), (3, 2, 4), (4, 3)
    network = form.network(inputs, outputs)
    exact = network.dense(random_arrays(network, 0))
    noise = 0.1 * normal(*exact.shape) * np.linalg.norm(exact) / math.sqrt(exact.size)
    found = decompose(exact + noise, form, inputs, outputs)
    best = np.linalg.norm(noise) / np.linalg.norm(exact + noise)
    assert found.error <= math.sqrt(4) * best
    tensor = mode_tensor(exact + noise, inputs, outputs)
    (core, factors), _ = tensorly.decomposition.partial_tucker(
        tensor, [2, 2, 2, 2], modes=[0, 2, 3, 4], tol=1e-10
    )
    again = tensorly.tenalg.multi_mode_dot(core, factors, modes=[0, 2, 3, 4])
    theirs = np.linalg.norm(again - tensor) / np.linalg.norm(tensor)
    assert found.error == pytest.approx(theirs, abs=1e-6)


# Ranks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (HierarchicalTucker((2, 9, 2), 2), "leaf_rank = [2, 9, 2]: is more than modes 3 x 4 x 2 "
         "and 4 x 2 x 2 can use; use at most [2, 8, 2]"),
        (HierarchicalTucker(5, 2), "leaf_rank = 5: is more than modes"),
        (HierarchicalTucker(2, 5), "inner_rank = 5: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can "
         "use; use at most 4"),
        (TensorTrain((2, 5)), "ranks = [2, 5]: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can use; "
         "use at most [2, 4]"),
        (TensorTrain((13, 2)), "use at most [12, 2]"),
        (TensorRing((1, 4, 2, 2, 2, 2)), "use at most [1, 3, 2, 2, 2, 2]"),
        (Tucker((4, 2, 2), 2), "input_ranks = [4, 2, 2]: is more than modes 3 x 4 x 2 and "
         "4 x 2 x 2 can use; use at most [3, 2, 2]"),
        (Tucker(1, (2, 1, 1)), "output_ranks = [2, 1, 1]: is more than modes 3 x 4 x 2 and "
         "4 x 2 x 2 can use; use at most [1, 1, 1]"),
        (CanonicalPolyadic(97), "rank = 97: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can use; "
         "use at most 96"),
        (BlockTerm(2, 13), "rank = 13: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can use; "
         "use at most 12"),
        (BlockTerm(33, 2), "blocks = 33: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can use; "
         "use at most 32"),
        (KroneckerCp(33, 2), "terms = 33: is more than modes"),
        (KroneckerCp(2, 4), "rank = 4: is more than modes 3 x 4 x 2 and 4 x 2 x 2 can use; "
         "use at most 3"),
    ],
)  # fmt: skip
def test_ranks_beyond_the_unfoldings_are_refused(form, message):
    inputs, outputs = (3, 4, 2), (4, 2, 2)
    with pytest.raises(ShapeError) as caught:
        decompose(normal(16, 24), form, inputs, outputs)
    assert message in str(caught.value)


@EVERY
@given(factor=st.floats(0.1, 50))
@settings(max_examples=8)
def test_scaled_ranks_can_always_be_used(form, inputs, outputs, factor):
    found = scaled(form, factor, inputs, outputs)
    check_usable(found, inputs, outputs)
    assert limited(found, inputs, outputs) == found
    assert type(found) is type(form)


def test_scaled_ranks_are_multiples():
    inputs, outputs = (8, 20, 20, 18), (16, 4, 4, 4)
    pairs = [
        (HierarchicalTucker((2, 3, 2, 2), 3), HierarchicalTucker((5, 8, 5, 5), 8)),
        (TensorTrain(4), TensorTrain(10)),
        (BlockTerm(2, 2), BlockTerm(2, 5)),
        (Tucker((2, 0, 2, 2), 1), Tucker((5, 0, 5, 5), 3)),
        (CanonicalPolyadic(3), CanonicalPolyadic(8)),
        (KroneckerCp(3, 2), KroneckerCp(8, 2)),
        (Dense(), Dense()),
    ]
    for form, wanted in pairs:
        assert scaled(form, 2.5, inputs, outputs) == wanted
        assert scaled(form, 1, inputs, outputs) == form


def test_published_ranks_can_be_used():
    check_usable(TensorTrain(4), (8, 20, 20, 18), (16, 4, 4, 4))
    check_usable(BlockTerm(2, 4), (8, 20, 20, 18), (16, 4, 4, 4))
    check_usable(HierarchicalTucker(4, 5), (8, 10, 10, 9, 8), (16, 4, 2, 4, 2))
    check_usable(HierarchicalTucker(3, 5), (16, 16, 16), (32, 16, 16))
    ranks = (10, *(5,) * 12)
    check_usable(TensorRing(ranks), (4, 2, 5, 8, 6, 5, 3, 2), (16, 4, 2, 4, 2))

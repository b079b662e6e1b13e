"""Networks of named indices: dense matrix, merging, resizing, refusals, JSON."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ShapeError
from fdht_models.tensor.formats import HierarchicalTucker
from fdht_models.tensor.formats.trees import (
    balanced_tree,
    inner_nodes,
    merge_groups,
    transfer_owners,
)
from fdht_models.tensor.network import Core, TensorNetwork, einsum_subscripts, merge_arrays
from fdht_models.tensor.plan import plan_contraction
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.strategies import (
    SEEDS,
    caterpillar,
    random_arrays,
    rounding_bound,
    tree_of,
    trees,
)


def matrix(rows: int = 3, rank: int = 2, columns: int = 4) -> TensorNetwork:
    """W = A B of a low-rank matrix."""
    return TensorNetwork(
        "low rank",
        {"o": rows, "r": rank, "i": columns},
        ("i",),
        ("o",),
        (Core("A", ("o", "r")), Core("B", ("r", "i"))),
    )


def test_dense_of_two_factors_is_their_product():
    network = matrix()
    arrays = random_arrays(network, 0)
    bound = rounding_bound(network, arrays, network.dense)
    assert (np.abs(network.dense(arrays) - arrays["A"] @ arrays["B"]) <= bound).all()
    assert network.parameter_count == 3 * 2 + 2 * 4
    assert (network.output_size, network.input_size) == (3, 4)
    assert network.dense(arrays).shape == (3, 4)


def test_rows_and_columns_are_row_major_over_the_modes():
    """A rank-1 network is the outer product: each element is known without any einsum."""
    network = HierarchicalTucker(1, 1).network((2, 3), (4, 5))
    arrays = random_arrays(network, 1)
    dense = network.dense(arrays)
    first, second = arrays["U1"], arrays["U2"]
    for row, column in ((0, 0), (7, 4), (19, 5), (13, 2)):
        wanted = (
            first[column // 3, row // 5, 0] * second[column % 3, row % 5, 0] * arrays["B1_2"][0, 0]
        )
        np.testing.assert_allclose(dense[row, column], wanted, rtol=1e-15)


@given(st.data(), st.integers(2, 6), SEEDS)
@settings(max_examples=25)
def test_every_merge_of_a_tree_into_a_chain_keeps_the_matrix(data, modes, seed):
    """Balanced, caterpillar and any other tree; every owner of every transfer tensor."""
    tree = data.draw(
        st.one_of(st.sampled_from([balanced_tree(modes), caterpillar(modes)]), trees(modes))
    )
    generator = np.random.default_rng(seed)
    largest = {2: 5, 3: 4, 4: 3, 5: 2, 6: 2}[modes]
    inputs, outputs = generator.integers(1, largest + 1, (2, modes)).tolist()
    network = HierarchicalTucker(
        generator.integers(1, 4, modes).tolist(), int(generator.integers(1, 4)), tree
    ).network(inputs, outputs)
    arrays = random_arrays(network, seed)
    dense = network.dense(arrays)
    bound = rounding_bound(network, arrays, network.dense)
    owners = list(transfer_owners(tree))
    assert len(owners) == 2 ** (modes - 1)
    for choice in (owners[0], owners[-1], data.draw(st.sampled_from(owners))):
        groups = merge_groups(tree, choice)
        assert list(groups) == [f"C{k}" for k in range(1, modes + 1)]
        members = [name for group in groups.values() for name in group]
        assert sorted(members) == sorted(network.core_names)
        chain = network.merged(groups)
        merged = merge_arrays(network, groups, arrays)
        chain.check(merged)
        assert (np.abs(chain.dense(merged) - dense) <= bound).all()


@pytest.mark.parametrize("modes", range(2, 7))
def test_a_merged_core_meets_its_neighbours_only(modes):
    """What "chain" promises: a bond joins cores k and k + 1 if each transfer sits at its split."""
    for tree in (balanced_tree(modes), caterpillar(modes)):
        network = HierarchicalTucker(2, 2, tree).network([2] * modes, [2] * modes)
        for node in inner_nodes(tree):
            assert node.first <= node.split < node.last
        for owners in transfer_owners(tree):
            chain = network.merged(merge_groups(tree, owners))
            assert chain.core_names == tuple(f"C{k}" for k in range(1, modes + 1))


def test_merging_all_cores_gives_the_matrix():
    network = matrix()
    arrays = random_arrays(network, 3)
    groups = {"W": ("A", "B")}
    whole = network.merged(groups)
    assert set(whole.sizes) == {"o", "i"}
    merged = merge_arrays(network, groups, arrays)["W"]
    np.testing.assert_allclose(merged, arrays["A"] @ arrays["B"], rtol=1e-12)


@given(SEEDS)
@settings(max_examples=10)
def test_a_part_of_a_mode_is_a_part_of_the_matrix(seed):
    """`resized` with leading parts of the arrays gives the leading columns of each mode."""
    network = HierarchicalTucker(2, 2).network((3, 4, 5), (2, 2, 3))
    arrays = random_arrays(network, seed)
    whole = network.dense(arrays).reshape(-1, 3, 4, 5)
    part = network.resized({"i2": 2, "i3": 4})
    small = {name: array[tuple(map(slice, part.shape(name)))] for name, array in arrays.items()}
    part.check(small)
    bound = rounding_bound(part, small, part.dense)
    wanted = whole[:, :, :2, :4].reshape(12, -1)
    assert (np.abs(part.dense(small) - wanted) <= bound).all()


def test_the_fdht_chain_takes_the_fewest_macs_of_all_owners():
    shape = fdht_shape((3, 4, 5, 3, 2), (8, 2, 2, 2, 2), (2, 4, 2, 2), 3, 2)
    all_macs = []
    for owners in transfer_owners(tree_of(shape)):
        chain = shape.network.merged(merge_groups(tree_of(shape), owners))
        part = chain.resized({"i1": 3})
        all_macs.append(plan_contraction(part, sorted(part.core_names, reverse=True)).macs)
    assert shape.input_plan.macs == min(all_macs) < max(all_macs)


@pytest.mark.parametrize(
    ("sizes", "inputs", "message"),
    [
        ({"o": 3, "r": 2}, ("i",), "sizes.i: every index needs a size of at least 1"),
        ({"o": 3, "r": 0, "i": 1}, ("i",), "sizes.r = 0: every index needs a size of at least 1"),
        ({"o": 3, "r": -2, "i": 1}, ("i",), "sizes.r = -2: every index needs a size"),
        ({"o": 3, "r": 2, "i": 1, "j": 2}, ("j",), "cores = 'j': no core carries this mode"),
    ],
)
def test_networks_that_do_not_fit_are_refused(sizes, inputs, message):
    with pytest.raises(ShapeError) as caught:
        TensorNetwork("bad", sizes, inputs, ("o",), (Core("A", ("o", "r")), Core("B", ("r", "i"))))
    assert message in str(caught.value)


def test_arrays_that_do_not_fit_are_refused():
    network = matrix()
    arrays = random_arrays(network, 0)
    network.check(arrays)
    with pytest.raises(ShapeError, match=r"cores.B: expected shape \(2, 4\)"):
        network.check({"A": arrays["A"]})
    with pytest.raises(ShapeError, match=r"cores.B = \(4, 2\): expected shape \(2, 4\)"):
        network.check({**arrays, "B": arrays["B"].T})
    with pytest.raises(ShapeError, match="core = 'C': no such core"):
        network.core("C")


def test_einsum_spells_names_in_order_of_appearance():
    assert einsum_subscripts([("x", "y"), ("y", "long name")], ("x", "long name")) == "ab,bc->ac"
    many = [f"index {number}" for number in range(52)]
    assert len(einsum_subscripts([many], many)) == 2 * 52 + 2
    with pytest.raises(ShapeError, match="indices = 53: einsum has 52 letters"):
        einsum_subscripts([[*many, "one more"]], [])

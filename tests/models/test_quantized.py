"""QuantizedNetwork: sizes, exact formats, JSON and its identity, refusals."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_models.errors import ArtifactError, FdhtError, NumericError, ShapeError
from fdht_models.tensor.arrays import QuantizedArray, exact_product_format, exact_sum_format
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork, frame_modes
from fdht_models.tensor.recurrent import fdht_shape
from fdht_models.tensor.reference import ReferenceModel
from tests.models.strategies import (
    Widths,
    build_network,
    fixed_points,
    quantized_networks,
    random_frames,
)


def replaced(network: QuantizedNetwork, **changes: object) -> QuantizedNetwork:
    """The network with other parts of its LSTM."""
    recurrence = dataclasses.replace(network.recurrence, **changes)
    return dataclasses.replace(network, recurrence=recurrence)


# Formats ----------------------------------------------------------------------------------------


@given(fixed_points(1, 4, -2, 4), fixed_points(1, 4, -2, 4), st.integers(1, 3))
@settings(max_examples=40)
def test_product_formats_hold_every_sum_and_are_the_narrowest_symmetric_ones(a, b, terms):
    found = exact_product_format(a, b, terms)
    assert found.fraction == a.fraction + b.fraction and found.signed
    products = [x * y for x in (a.minimum, a.maximum) for y in (b.minimum, b.maximum)]
    sums = [sum(chosen) for chosen in itertools.product(products, repeat=terms)]
    largest = max(map(abs, sums))
    assert found.minimum <= min(sums) and max(sums) <= found.maximum
    # One bit less could not hold the largest sum with either sign.
    assert found.width == 1 or largest > 2 ** (found.width - 2) - 1


@given(st.lists(fixed_points(1, 6, -3, 6), min_size=1, max_size=3))
@settings(max_examples=40)
def test_sum_formats_hold_every_sum(parts):
    found = exact_sum_format(*parts)
    fraction = max(part.fraction for part in parts)
    assert found.fraction == fraction
    low = sum(part.minimum * 2 ** (fraction - part.fraction) for part in parts)
    high = sum(part.maximum * 2 ** (fraction - part.fraction) for part in parts)
    assert found.minimum <= low and high <= found.maximum


def test_accumulators_that_no_dsp_holds_are_refused():
    wide = FixedPoint(24, 0)
    with pytest.raises(NumericError, match=r"width = 49: must lie between 1 and 48 bits"):
        exact_product_format(wide, wide, 2)


@pytest.mark.parametrize(
    ("inputs", "classes", "frame_bytes", "result_bytes"),
    [
        ((3, 4, 5), 3, 64, 16),
        ((2, 4, 8), 2, 64, 8),
        ((1, 2, 4), 1, 8, 8),
        ((1, 3, 4), 11, 16, 48),
    ],
)
def test_frames_and_results_are_whole_words(inputs, classes, frame_bytes, result_bytes):
    network = build_network(fdht_shape(inputs, (8, 2, 2), (2, 4), 2, 2), classes=classes)
    assert network.frame_bytes == frame_bytes
    assert network.result_bytes == result_bytes
    assert frame_modes(network.recurrence) == (inputs[0] * inputs[1], inputs[2])


def test_macs_are_both_paths_and_the_head():
    shape = fdht_shape((3, 4, 5), (8, 2, 2), (2, 4), 2, 3)
    network = build_network(shape, classes=5)
    assert network.macs == shape.input_plan.macs + shape.hidden_plan.macs + 8 * 5


# JSON -------------------------------------------------------------------------------------------


@given(quantized_networks())
@settings(max_examples=15)
def test_json_round_trip_keeps_identity_and_results(network):
    again = QuantizedNetwork.from_json(json.loads(json.dumps(network.to_json())))
    assert again.to_json() == network.to_json()
    assert again.design_id == network.design_id
    frames = random_frames(network, 3)
    np.testing.assert_array_equal(
        ReferenceModel(again).run(frames), ReferenceModel(network).run(frames)
    )


def test_a_saved_network_is_the_same_network(tmp_path):
    network = build_network(seed=3)
    network.save(tmp_path / "network.json")
    again = QuantizedNetwork.load(tmp_path / "network.json")
    assert again.design_id == network.design_id
    assert (again.classes, again.feature, again.frame_shape) == (
        network.classes,
        network.feature,
        network.frame_shape,
    )
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "network.json").read_bytes()


def test_the_identity_is_the_head_of_a_sha256(tmp_path):
    network = build_network()
    network.save(tmp_path / "network.json")
    digest = hashlib.sha256((tmp_path / "network.json").read_bytes().rstrip(b"\n")).digest()
    assert network.design_id == int.from_bytes(digest[:8], "big")


def test_every_number_and_format_is_part_of_the_identity():
    network = build_network()
    value = network.to_json()
    seen = {network.design_id}

    def leaves(node, path=()):
        if isinstance(node, dict):
            for key, below in node.items():
                yield from leaves(below, (*path, key))
        elif isinstance(node, list):
            for position in {0, len(node) - 1} if node else set():
                yield from leaves(node[position], (*path, position))
        else:
            yield path, node

    changed = 0
    for path, leaf in list(leaves(value)):
        # An integer one smaller: a valid code or format wherever the parts still fit.
        if isinstance(leaf, bool) or not isinstance(leaf, int):
            continue
        node = value
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = leaf - 1
        try:
            other = QuantizedNetwork.from_json(value)
        except FdhtError:
            continue
        finally:
            node[path[-1]] = leaf
        assert other.design_id not in seen, path
        seen.add(other.design_id)
        changed += 1
    assert changed > 50


@pytest.mark.parametrize(
    "damage",
    [
        lambda value: [],
        lambda value: None,
        lambda value: {},
        lambda value: {**value, "schema": 0},
        lambda value: {**value, "recurrence": []},
        lambda value: {**value, "recurrence": {**value["recurrence"], "cores": []}},
        lambda value: {**value, "head": {**value["head"], "bias": {"format": {}, "codes": []}}},
        lambda value: {**value, "classes": ["one too few"]},
        lambda value: {**value, "classes": 3},
        lambda value: _with_code(value, 1000),
        lambda value: _with_code(value, 2**70),
        lambda value: _with_code(value, "x"),
        lambda value: _with_code(value, [1, 2]),
        lambda value: _with_code(value, None),
        lambda value: _with_code(value, 1.5),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, damage):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(damage(build_network().to_json())))
    with pytest.raises(ArtifactError, match=r"network\.json: .*is not a quantised network"):
        QuantizedNetwork.load(path)


def test_a_file_of_an_earlier_version_says_what_to_do(tmp_path):
    path = tmp_path / "network.json"
    path.write_text(json.dumps({**build_network().to_json(), "schema": 2}))
    with pytest.raises(ArtifactError, match="an earlier version of fdht") as error:
        QuantizedNetwork.load(path)
    assert "schema = 2" in str(error.value) and "fdht build again" in str(error.value)


def _with_code(value, code):
    value["head"]["bias"]["codes"][1] = code
    return value


# Refusals ---------------------------------------------------------------------------------------


def test_arrays_hold_their_codes_only_and_cannot_be_written():
    array = QuantizedArray(FixedPoint(4, 0), np.array([-8, 7]))
    with pytest.raises(ValueError, match="read-only"):
        array.codes[0] = 0
    for codes in ([-9], [8], [0, 100]):
        with pytest.raises(ShapeError, match=r"do not fit fixed<4,4>"):
            QuantizedArray(FixedPoint(4, 0), np.array(codes))
    with pytest.raises(ShapeError, match=r"codes -1\.\.-1 do not fit ufixed<4,4>"):
        QuantizedArray(FixedPoint(4, 0, False), np.array([-1]))


def test_building_an_array_leaves_the_callers_array_writable():
    codes = np.array([1, 2])
    array = QuantizedArray(FixedPoint(4, 0), codes)
    codes[0] = 3
    np.testing.assert_array_equal(array.codes, [1, 2])


@pytest.mark.parametrize("width", [7, 9])
def test_frames_are_bytes(width):
    with pytest.raises(ShapeError, match=f"input_format.width = {width}: frames are streamed"):
        replaced(build_network(), input_format=FixedPoint(width, 0, False))


def _paths():
    path = build_network().recurrence.input_path
    return {
        "needs one core a stage": ContractionPath(path.plan, path.cores[:-1], path.formats),
        "needs one format for each stage": ContractionPath(
            path.plan, path.cores, path.formats[:-1]
        ),
        "cores = 'C9': no such core": ContractionPath(
            path.plan, ("C9", *path.cores[1:]), path.formats
        ),
        # C1 and C3 have other shapes than each other.
        "cores.C1 = (": ContractionPath(path.plan, ("C1", *path.cores[1:]), path.formats),
    }


@pytest.mark.parametrize("message", list(_paths()))
def test_paths_that_do_not_fit_are_refused(message):
    with pytest.raises(ShapeError) as caught:
        replaced(build_network(), input_path=_paths()[message])
    assert message in str(caught.value)


def test_paths_of_other_sizes_are_refused():
    network = build_network()
    other = build_network(fdht_shape((3, 4, 5), (4, 2, 2), (2, 2), 2, 3)).recurrence
    with pytest.raises(ShapeError, match=r"hidden_path\.plan"):
        replaced(network, hidden_path=other.hidden_path, cores={**network.recurrence.cores})
    with pytest.raises(ShapeError, match="expected"):
        replaced(network, cell=other.cell)


@pytest.mark.parametrize("name", ["gate", "candidate", "output"])
@pytest.mark.parametrize("change", [-1, 1])
def test_tables_have_one_entry_a_code(name, change):
    network = build_network()
    table = getattr(network.recurrence.cell, name)
    codes = np.resize(table.codes, table.codes.size + change)
    with pytest.raises(ShapeError, match=rf"{name} = {codes.size}: expected"):
        dataclasses.replace(network.recurrence.cell, **{name: QuantizedArray(table.format, codes)})


@pytest.mark.parametrize("size", [31, 33, 34])
def test_the_bias_has_four_values_a_unit(size):
    network = build_network()
    bias = network.recurrence.cell.bias
    changed = QuantizedArray(bias.format, np.resize(bias.codes, size))
    with pytest.raises(ShapeError, match=r"bias = \(\d+,\): must be a vector of 4 x H"):
        dataclasses.replace(network.recurrence.cell, bias=changed)


def test_the_head_has_a_column_a_class():
    network = build_network()
    with pytest.raises(ShapeError, match=r"head\.weights = \(8, 3\): expected \(8, 2\)"):
        dataclasses.replace(network, classes=("one", "two"))
    bias = QuantizedArray(network.head.bias.format, network.head.bias.codes[:2])
    with pytest.raises(ShapeError, match=r"head\.bias = \(2,\): expected \(3,\)"):
        dataclasses.replace(network, head=dataclasses.replace(network.head, bias=bias))


def test_logits_fit_a_result_word():
    with pytest.raises(ShapeError, match=r"logit_format.width = 40: a result holds 32 bits"):
        build_network(widths=Widths(head=20, hidden=16))

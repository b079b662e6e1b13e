"""Loops of streaming stages: their sizes, their order, and plans that cannot be streamed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings

from fdht_hls.engine import StageDesign
from fdht_hls.shapes import (
    StageShape,
    collects,
    emission_order,
    fibre_counts,
    group_positions,
    loop_order,
    stage_shape,
)
from fdht_models.errors import ConversionError
from fdht_models.tensor.formats.trees import Tree, balanced_tree
from fdht_models.tensor.plan import ContractionPlan, plan_contraction
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence
from fdht_models.tensor.recurrent import fdht_shape
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.networks import Classifier
from tests.models.format_cases import SHAPES
from tests.models.strategies import (
    SMALL_SHAPE,
    build_network,
    caterpillar,
    fdht_shapes,
    random_frames,
)

#: The architecture study's configurations for 57,600 inputs: shape, MACs of stages 4..1 and of the
#: h part, accumulators of stages 4..1.
STUDY = {
    "A0": (
        fdht_shape((8, 20, 20, 18), (16, 4, 4, 4), (8, 4, 8), 4, 4),
        [921_600, 819_200, 163_840, 32_768],
        24_576,
        [16, 64, 256, 1024],
    ),
    "B": (
        fdht_shape((10, 12, 20, 24), (16, 8, 4, 2), (8, 4, 8), 4, 4),
        [460_800, 307_200, 122_880, 40_960],
        18_432,
        [8, 32, 256, 1024],
    ),
}


def path_of(plan: ContractionPlan) -> ContractionPath:
    return ContractionPath(plan, tuple(stage.core for stage in plan.stages), ())


def shapes_of(plan: ContractionPlan) -> list[StageShape]:
    return [stage_shape(path_of(plan), position) for position in range(len(plan.stages))]


@pytest.mark.parametrize("name", STUDY)
def test_the_study_s_figures(name):
    shape, macs, hidden, accumulators = STUDY[name]
    stages = shapes_of(shape.input_plan)
    assert [stage.turns * stage.macs_per_turn for stage in stages] == macs
    assert [stage.groups * stage.inner * stage.outputs for stage in stages] == accumulators
    assert sum(s.turns * s.macs_per_turn for s in shapes_of(shape.hidden_plan)) == hidden


def test_configuration_b_works_at_the_width_that_the_study_recommends():
    stages = shapes_of(STUDY["B"][0].input_plan)
    loops = [(s.outer, s.mode, s.groups, s.inner, s.rank_in, s.outputs) for s in stages]
    assert loops == [
        (2400, 24, 1, 1, 1, 8),
        (120, 20, 1, 2, 4, 16),
        (10, 12, 2, 4, 4, 32),
        (1, 10, 8, 8, 4, 16),
    ]
    assert [stage.fibre for stage in stages] == [True, False, False, False]
    assert all(stage.lanes == stage.banks == 1 for stage in stages), "a chain of single vectors"
    assert [stage.macs_per_turn for stage in stages] == [192, 64, 128, 64]
    assert [stage.words_out for stage in stages] == [2400, 240, 80, 64]


def usual_trees(modes: int) -> tuple[Tree, Tree]:
    return balanced_tree(modes), caterpillar(modes)


@given(fdht_shapes(max_modes=5))
@settings(max_examples=60)
def test_loops_do_the_plan_s_work_in_any_shape(shape):
    for plan in (shape.input_plan, shape.hidden_plan):
        for fibres in fibre_counts(path_of(plan)):
            loops_do_the_work(plan, fibres)


def loops_do_the_work(plan: ContractionPlan, fibres: int) -> None:
    values = plan.input_size
    for position, stage in enumerate(plan.stages):
        own = stage_shape(path_of(plan), position, fibres)
        joined = fibres if position == 0 else 1
        assert own.turns * own.macs_per_turn == stage.macs
        assert own.groups * own.inner * own.word_out == joined * plan.accumulators(position)
        words = own.outer * own.groups * (1 if own.fibre else own.mode)
        assert words * own.word_in == values, "what comes in"
        places = [place for at in range(own.inner * own.lanes) for place in own.places(at)]
        assert sorted(places) == list(range(own.word_in)), "each value is of one vector"
        values = own.words_out * own.word_out
        assert values == math.prod(stage.output_shape)
        assert own.fibre == (position == 0)
        assert own.words_joined == joined


# Order ------------------------------------------------------------------------------------------


def streamed(
    lstm: QuantizedRecurrence, path: ContractionPath, position: int, words: list, fibres: int = 1
) -> list:
    """A stage as its C++ loops run, word by word: exact sums."""
    shape = stage_shape(path, position, fibres)
    together = fibres if position == 1 else 1
    core, inside = loop_order(lstm, path, position)
    form = core.format  # weights alone are read
    codes = StageDesign("", shape, form, core, inside, form, form).weights
    source = iter(words)
    if shape.fibre:
        kernel = codes.reshape(shape.mode, shape.outputs)
        return [(word.reshape(fibres, shape.mode) @ kernel).ravel() for word in source]
    weights = codes.reshape(shape.mode, shape.banks, shape.rank_in, shape.outputs)
    vectors = shape.inner * shape.lanes
    emitted = []
    for _ in range(shape.outer):
        sums = np.zeros((shape.groups, vectors, shape.outputs), np.int64)
        for index in range(shape.mode):
            for group in range(shape.groups):
                word = next(source).reshape(together, vectors, -1)  # a fibre behind the other
                word = word.transpose(1, 0, 2).reshape(vectors, shape.rank_in)
                for vector in range(vectors):
                    bank = vector % shape.lanes // shape.bank_stride % shape.banks
                    sums[group, vector] += word[vector] @ weights[index, bank]
                if index == shape.mode - 1:
                    emitted += [word_of(shape, part) for part in sums[group].reshape(
                        shape.inner, shape.lanes, shape.outputs)]  # fmt: skip
    assert next(source, None) is None, "all words are read"
    return emitted


def word_of(shape: StageShape, sums: np.ndarray) -> np.ndarray:
    """[lanes, outputs] in the order of a word: modes, bonds that end late, opened ones, others."""
    parts = sums.reshape(shape.lanes // shape.low, shape.low, -1, shape.opened)
    return parts.transpose(2, 0, 3, 1).ravel()


@pytest.mark.parametrize(
    "shape",
    [
        SMALL_SHAPE,
        fdht_shape((2, 6), (8, 3), (6,), 3, 1),
        fdht_shape((2, 3, 4, 8), (8, 2, 2, 2), (2, 4, 2), (1, 2, 3, 2), 2, caterpillar(4)),
        fdht_shape((2, 2, 3, 2, 3), (8, 1, 2, 1, 2), (2, 2, 1, 2), 2, 2),
        fdht_shape((2,) * 7, (16, 2, 1, 2, 1, 1, 2), (2, 2, 2, 2, 2, 1), 2, 3),
        *SHAPES.values(),
    ],
    ids=["3 modes", "2 modes", "4 modes", "5 modes", "7 modes", *SHAPES],
)
@pytest.mark.parametrize("label", ["input", "hidden"])
def test_stages_emit_in_the_order_in_which_the_next_reads(shape, label):
    """Word for word: each stage's loops on the reference's intermediate of the stage before."""
    network = build_network(shape, signed_input=True)
    lstm = network.recurrence
    path = lstm.input_path if label == "input" else lstm.hidden_path
    seen: dict[str, list[np.ndarray]] = {}
    model = ReferenceModel(network, lambda name, codes: seen.setdefault(name, []).append(codes))
    frames = random_frames(network, 3)
    model.run(frames)
    before = frames[2:].astype(np.int64) if label == "input" else seen["hidden"][1][None]
    for position, stage in enumerate(path.plan.stages):
        results = []
        for fibres in fibre_counts(path) if position < 2 else (1,):
            words = list(before.reshape(-1, stage_shape(path, position, fibres).word_in))
            results.append(np.concatenate(streamed(lstm, path, position, words, fibres)))
        sums = results[0]
        for side_by_side in results[1:]:
            np.testing.assert_array_equal(side_by_side, sums, f"stage {position}")
        if position < len(path.formats):
            total = lstm.accumulator_format(path, position)
            sums = path.formats[position].requantize(sums, total.fraction)
        batches = seen[f"{label}.{stage.core}"]
        before = batches[0][2:] if label == "input" else batches[2]
        np.testing.assert_array_equal(sums, before.ravel(), f"stage {position}")
        assert len(np.unique(sums)) > min(3, sums.size - 1), "a dead stage proves nothing"
    # What the last stage emits, put in the order of W's rows.
    rows = emission_order(path).ravel()
    assert sorted(rows) == list(range(len(shape.gates) * shape.units))
    wanted = before[0].transpose(path.plan.output_permutation).ravel()
    np.testing.assert_array_equal(sums, wanted[rows])


def test_a_group_holds_all_gates_of_its_units():
    lstm = build_network(SMALL_SHAPE).recurrence
    order, positions = emission_order(lstm.input_path), group_positions(lstm)
    assert order.shape == (4, 8) and sorted(positions) == [0, 1, 2, 3]
    for group, position in enumerate(positions):
        # gate * H + lane * groups + position, lane by lane within a gate.
        wanted = [8 * gate + 4 * lane + position for gate in range(4) for lane in range(2)]
        np.testing.assert_array_equal(order[group], wanted)


# Refusals ---------------------------------------------------------------------------------------


def test_a_plan_from_the_first_mode_on_cannot_be_streamed():
    plan = plan_contraction(SMALL_SHAPE.stored, ("C1", "C2", "C3"))
    message = r"stage 0 \(C1\): sums \['i1'\], but data arrive in the order \['i1', 'i2', 'i3'\]"
    with pytest.raises(ConversionError, match=f"{message}; contract the last mode first"):
        stage_shape(path_of(plan), 0)


def test_bonds_in_another_order_than_they_end_cannot_be_streamed():
    plan = Classifier("ring", SHAPES["tr-lstm"], generic=True).network.recurrence.input_path.plan
    stage = plan.stages[1]
    bonds = tuple(index for index in stage.input_indices if index.startswith("r"))
    assert len(bonds) == 2, "one to sum and one that passes by"
    swapped = tuple(
        {bonds[0]: bonds[1], bonds[1]: bonds[0]}.get(index, index) for index in stage.input_indices
    )
    stages = list(plan.stages)
    stages[1] = dataclasses.replace(stage, input_indices=swapped)
    wrong = dataclasses.replace(plan, stages=tuple(stages))
    with pytest.raises(ConversionError, match=r"sums the bonds \['r2'\], but they arrive in the"):
        stage_shape(path_of(wrong), 1)


@pytest.mark.parametrize(
    "tree", [*map(balanced_tree, range(2, 7)), ((1, (2, 3)), 4), ((1, (2, 3)), (4, 5))]
)
def test_trees_that_can_be_merged_into_a_chain_are(tree):
    modes = sum(str(tree).count(str(number)) for number in range(1, 9))
    shape = fdht_shape((2,) * modes, (4,) + (1,) * (modes - 1), (1,) * (modes - 1), 2, 2, tree)
    stages = shapes_of(shape.input_plan)
    assert len(stages) == modes
    assert all(stage.lanes == 1 for stage in stages)


def test_sums_that_do_not_arrive_by_unit_are_collected():
    chain = build_network(SMALL_SHAPE).recurrence
    assert not collects(chain)
    assert group_positions(chain).shape == (4,)
    assert not collects(build_network(SHAPES["tt-gru-integrated"]).recurrence)
    for label in ("tucker-lstm-integrated", "tt-lstm", "tucker-gru-integrated"):
        network = Classifier(label, SHAPES[label], generic=True).network.recurrence
        assert collects(network), label
        rows = group_positions(network)
        assert sorted(rows) == list(range(len(network.cell.gates) * network.units))

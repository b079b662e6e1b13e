"""Random plans, formats, cells, widths and schedules: reference = C simulation, in both builds.

Keras = reference is tested for such networks in `tests/models`; three ways at once in
`test_equality`, `test_format_equality` and `test_study`.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fdht_hls.csimulation import Build
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    choices,
    default_schedule,
    shapes_of,
    vector_counts,
    vector_length,
)
from fdht_hls.shapes import StageShape, collects
from fdht_models.errors import ConversionError
from fdht_models.tensor.cells import CELLS
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
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork
from fdht_models.tensor.recurrent import GATES, RecurrentShape
from tests.hls.many import FRAMES, Case, ManyCores
from tests.models.format_cases import SHAPES
from tests.models.strategies import SEEDS, Widths, build_network, fdht_shapes

#: Networks compiled together.
TOGETHER = 25
#: Networks that the slow test draws.
HUNDREDS = 300
SIZES, RANKS = st.integers(1, 4), st.integers(1, 3)


# Networks of every kind ---------------------------------------------------------------------------


@st.composite
def formats(draw: st.DrawFn, modes: int, outputs: int) -> Format:
    """Any format that suits the numbers of input and output modes."""
    rank, other = draw(RANKS), draw(RANKS)
    made: list[Format] = [TensorRing(rank), CanonicalPolyadic(rank), Dense()]
    ranks = tuple(draw(st.integers(0, 3)) for _ in range(modes))
    made.append(Tucker(ranks, tuple(draw(st.integers(0, 3)) for _ in range(outputs))))
    if modes == outputs:
        made += [
            HierarchicalTucker(rank, other),
            HierarchicalTucker(rank, other, "unbalanced"),
            TensorTrain(rank),
            BlockTerm(other, rank),
            KroneckerCp(other, rank),
            KroneckerCp(other, rank, "vectors"),
        ]
    return draw(st.sampled_from(made))


@st.composite
def shapes(draw: st.DrawFn) -> RecurrentShape:
    """Any cell in any format, integrated or not, of at most 4^4 inputs and 16 units."""
    count = draw(st.integers(2, 4))
    inputs = tuple(draw(SIZES) for _ in range(count))
    outputs = tuple(draw(st.integers(1, 2)) for _ in range(draw(st.sampled_from([count, 2]))))
    cell = draw(st.sampled_from([*CELLS]))
    stacked = (outputs[0] * len(GATES[cell]), *outputs[1:])
    return RecurrentShape(draw(formats(count, len(outputs))), inputs, stacked, None, cell)


def can_be_streamed(shape: RecurrentShape) -> bool:
    """Not every plan can; see `test_shapes`."""
    try:
        for plan in (shape.input_plan, shape.hidden_plan):
            shapes_of(ContractionPath(plan, tuple(stage.core for stage in plan.stages), ()))
    except ConversionError:
        return False
    return True


def any_shape() -> st.SearchStrategy[RecurrentShape]:
    names = [label for label in SHAPES if label.endswith("integrated")]
    integrated = st.sampled_from(names).map(SHAPES.__getitem__)
    kinds = st.one_of(shapes(), fdht_shapes(max_modes=5, max_units=16), integrated)
    return kinds.filter(can_be_streamed)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A network with any widths and tables, and any schedule that it may have."""
    bits = st.integers(2, 9)
    widths = Widths(
        core=draw(bits),
        bias=draw(st.integers(2, 12)),
        stage=draw(st.integers(3, 20)),
        preactivation=draw(st.integers(3, 10)),
        gate=draw(bits),
        cell=draw(st.integers(3, 12)),
        hidden=draw(bits),
        head=draw(bits),
    )
    shape, seed = draw(any_shape()), draw(SEEDS)
    options = {
        "widths": widths,
        "classes": draw(st.integers(1, 4)),
        "signed_input": draw(st.booleans()),
        "random_tables": draw(st.booleans()),
        "jitter": draw(st.integers(0, 3)),
    }
    network = build_network(shape, seed, **options)
    note = f"build_network({shape}, {seed}, **{options})"
    return Case(network, any_schedule(draw, network), note)


def any_schedule(draw: st.DrawFn, network: QuantizedNetwork) -> Schedule:
    """Any parallelism of each stage. (No strategy: its name in messages would hold the network.)"""
    paths = (network.recurrence.input_path, network.recurrence.hidden_path)
    return Schedule(
        *(
            tuple(
                dataclasses.replace(
                    draw(st.sampled_from(choices(shape))),
                    vectors=draw(st.sampled_from(vector_counts(shape))),
                )
                for shape in shapes_of(path)
            )
            for path in paths
        )
    )


def refuse_mismatches(many: ManyCores) -> None:
    for case, result in zip(many.cases, many.compare(), strict=True):
        assert result.compared == 2 * FRAMES * len(case.network.classes)
        assert result.mismatches == 0, f"{result}\n{case.schedule}\n{case.note}"


def compare_all(found: Sequence[Case], directory: Path) -> None:
    for build in ("native", "exact"):
        refuse_mismatches(ManyCores(found, directory, build))


# Schedules ----------------------------------------------------------------------------------------


def scheduled(network: QuantizedNetwork, how: str) -> Schedule:
    """A schedule of a kind."""

    def choose(shape: StageShape) -> StageSchedule:
        every = choices(shape)
        odd = [one for one in every if one.vector % 2 and one.outputs % 2]
        return {
            "serial": every[0],
            "parallel": every[-1],
            "odd": odd[-1],
            "vectors only": StageSchedule(vector_length(shape), 1),
            "outputs only": StageSchedule(1, shape.outputs),
            "all at once": StageSchedule(
                vector_length(shape), shape.outputs, vectors=vector_counts(shape)[-1]
            ),
            "serial, side by side": StageSchedule(1, 1, vectors=_middle(vector_counts(shape))),
        }[how]

    paths = (network.recurrence.input_path, network.recurrence.hidden_path)
    return Schedule(*(tuple(choose(shape) for shape in shapes_of(path)) for path in paths))


def _middle(counts: Sequence[int]) -> int:
    """One above 1 if there is one, and not the highest if there are others."""
    return counts[-2] if len(counts) > 2 else counts[-1]


KINDS = (
    *("serial", "parallel", "odd", "vectors only", "outputs only"),
    *("all at once", "serial, side by side"),
)
#: What takes other loops than a chain: bonds that pass by, terms of a sum, sums in another order.
LABELS = ("ht-lstm-integrated", "bt-gru-integrated", "kcp-vectors-lstm-integrated")


def scheduled_cases(labels: Sequence[str]) -> list[Case]:
    found = []
    for number, label in enumerate(labels):
        network = build_network(SHAPES[label], number, jitter=1)
        found.append(Case(network, default_schedule(network.recurrence), f"{label}, default"))
        found += [Case(network, scheduled(network, how), f"{label}, {how}") for how in KINDS]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("label", SHAPES)
def test_every_kind_of_schedule_is_equal_in_every_format(label, tmp_path):
    compare_all(scheduled_cases([label]), tmp_path)


# Hundreds -----------------------------------------------------------------------------------------


def draw_cases(count: int, **options: Any) -> list[Case]:
    """So many different networks; Hypothesis draws them one by one, g++ sees them together."""
    found: dict[int, Case] = {}

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        **options,
    )
    @given(case=cases())
    def draw(case: Case) -> None:
        found[case.network.design_id] = case

    draw()
    return list(found.values())


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Callable[[Build], ManyCores]:
    """Every kind of schedule of a network, some of another, and random ones, compiled once."""
    directory = tmp_path_factory.mktemp("sample")
    # The first that Hypothesis draws are the simplest.
    found = [
        *scheduled_cases(LABELS[:1]),
        *scheduled_cases(LABELS[1:2])[3:4],
        *draw_cases(40, derandomize=True)[-3:],
    ]
    return cache(lambda build: ManyCores(found, directory, build))


@pytest.mark.parametrize("build", ["native", "exact"])
def test_every_kind_of_schedule_and_random_networks_are_equal(sample, build):
    many = sample(build)
    assert len(many.cases) == 8 + 1 + 3
    refuse_mismatches(many)
    different = {tuple(stage.parallel for stage in one.schedule.input) for one in many.cases}
    assert len(different) > 6


def test_a_wrong_weight_is_caught(sample):
    """The comparison can fail: a core of other weights than the reference's."""
    many = sample("native")
    case = many.cases[0]
    recurrence = case.network.recurrence
    name, core = next(iter(recurrence.cores.items()))
    codes = core.codes.copy()
    codes.flat[0] += 1 if codes.flat[0] < core.format.maximum else -1
    cores = {**recurrence.cores, name: dataclasses.replace(core, codes=codes)}
    other = dataclasses.replace(
        case.network, recurrence=dataclasses.replace(recurrence, cores=cores)
    )
    with pytest.raises(AssertionError, match="core of this network"):
        many.compare_one(0, other)
    object.__setattr__(other, "design_id", case.network.design_id)
    assert many.compare_one(0, other).mismatches > 0


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_hundreds_of_random_networks_are_equal(tmp_path):
    """Others in every run; a failure says how to make its network again."""
    found = draw_cases(HUNDREDS)
    # Some are drawn more than once.
    assert len(found) >= HUNDREDS * 2 / 3
    for start in range(0, len(found), TOGETHER):
        directory = tmp_path / str(start)
        directory.mkdir()
        compare_all(found[start : start + TOGETHER], directory)
        shutil.rmtree(directory)


def test_the_random_networks_are_of_every_kind():
    """What the tests above rest on."""
    found = draw_cases(100, derandomize=True)
    recurrences = [case.network.recurrence for case in found]
    assert {one.cell.kind for one in recurrences} == set(CELLS)
    assert {collects(one) for one in recurrences} == {True, False}
    paths = [path for one in recurrences for path in (one.input_path, one.hidden_path)]
    stages = [shape for path in paths for shape in shapes_of(path)]
    for kind in ("lanes", "banks", "low", "inner", "groups", "rank_in", "opened", "outer"):
        assert {getattr(stage, kind) > 1 for stage in stages} == {True, False}, kind
    assert {stage.fibre for stage in stages} == {True, False}
    used = [stage for case in found for stage in (*case.schedule.input, *case.schedule.hidden)]
    beats = [one.beats(shape) for one, shape in zip(used, stages, strict=True)]
    assert len(np.unique(beats)) > 5 and 1 in beats
    # Parts of a word of output, and several words, at once.
    pairs = list(zip(used, stages, strict=True))
    assert any(1 < one.vectors <= shape.lanes for one, shape in pairs)
    assert any(one.words_at_once(shape) > 1 for one, shape in pairs)

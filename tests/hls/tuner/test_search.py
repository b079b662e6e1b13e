"""The search against trying everything, the Pareto filter against its definition."""

from __future__ import annotations

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_hls.engine import design_engine
from fdht_hls.estimate import Assumptions, CoreModel, Resources
from fdht_hls.schedule import Schedule, choices
from fdht_hls.tuner.alternatives import kinds, nondominated
from fdht_hls.tuner.search import Limits, search
from fdht_models.tensor.recurrent import fdht_shape
from tests.models.format_cases import SHAPES
from tests.models.strategies import SEEDS, build_network

Objectives = tuple[int, int, int]

#: Few stages with few choices, so that all designs can be tried.
TINY = fdht_shape((2, 8), (4, 1), (1,), 1, 1), fdht_shape((3, 2), (8, 1), (2,), 1, 1)


@given(
    st.integers(1, 5).flatmap(
        lambda width: st.lists(
            st.tuples(*[st.integers(0, 6)] * width), min_size=0, max_size=40
        ).map(lambda rows: np.array(rows, np.int64).reshape(-1, width))
    )
)
@settings(max_examples=200)
def test_nondominated_points_are_those_that_no_other_beats(points):
    found = nondominated(points)
    rows = {tuple(row) for row in points.tolist()}
    wanted = {
        row
        for row in rows
        if not any(other != row and all(a <= b for a, b in zip(other, row)) for other in rows)  # noqa: B905
    }
    kept = [tuple(row) for row in points[found].tolist()]
    assert sorted(kept) == sorted(wanted), "each once, and no other"
    assert kept == sorted(kept)


def every_schedule(core: CoreModel) -> list[Schedule]:
    """All there are."""
    stages = [
        [kind for one in choices(design.shape) for kind in kinds(core, design, one)]
        for design in core.design.stages
    ]
    count = len(core.design.input)
    return [Schedule(chosen[:count], chosen[count:]) for chosen in product(*stages)]


def brute_force(core: CoreModel, limits: Limits) -> set[Objectives]:
    """Latency, DSP and LUT of the best designs, one estimate a schedule."""
    rows = set()
    for schedule in every_schedule(core):
        found = core.estimate(schedule)
        taken, most = found.resources, limits.resources
        if found.cycles_per_frame > limits.cycles:
            continue
        if limits.latency is not None and found.fill_latency_cycles > limits.latency:
            continue
        if most is not None and not within(taken, most):
            continue
        rows.add((found.fill_latency_cycles, taken.dsp, taken.lut))
    return {
        row
        for row in rows
        if not any(
            other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows
        )
    }


def within(taken: Resources, most: Resources) -> bool:
    return all(
        getattr(taken, name) <= getattr(most, name) for name in ("lut", "ff", "dsp", "bram18")
    )


@pytest.fixture(scope="module", params=range(len(TINY)))
def tiny(request: pytest.FixtureRequest) -> CoreModel:
    return CoreModel(design_engine(build_network(TINY[request.param])))


@given(st.data(), SEEDS)
@settings(max_examples=3, deadline=None)
def test_the_search_finds_what_trying_everything_finds(data, seed):
    shape = data.draw(st.sampled_from(TINY))
    core = CoreModel(
        design_engine(build_network(shape, seed)),
        engine=Assumptions(int8_pairs=data.draw(st.booleans())),
    )
    generator = np.random.default_rng(seed)
    schedules = every_schedule(core)
    # Limits that bind: those of a design drawn by chance.
    some = core.estimate(schedules[int(generator.integers(len(schedules)))])
    limits = Limits(
        some.cycles_per_frame,
        data.draw(st.sampled_from([None, some.fill_latency_cycles])),
        data.draw(st.sampled_from([None, some.resources])),
    )
    found = search(core, limits)
    wanted = brute_force(core, limits)
    assert {(one.latency, one.resources.dsp, one.resources.lut) for one in found} == wanted
    assert len(found) == len(wanted) > 0
    for one in found:
        assert one.cycles <= limits.cycles
        assert limits.resources is None or within(one.resources, limits.resources)


def test_flip_flops_and_block_ram_are_limits_too(tiny):
    free = search(tiny, Limits(10**6))
    fewest = min(free, key=lambda one: one.resources.ff).resources
    # Less than the design with the fewest LUT and DSP takes, if there is such a design at all.
    limits = Limits(10**6, None, dataclasses.replace(fewest, lut=10**6, dsp=10**6))
    found = search(tiny, limits)
    assert {(one.latency, one.resources.dsp, one.resources.lut) for one in found} == brute_force(
        tiny, limits
    )
    assert all(one.resources.ff <= fewest.ff for one in found)


def test_a_wider_limit_never_loses_a_design(tiny):
    def best(cycles: int) -> int:
        return min((one.resources.dsp for one in search(tiny, Limits(cycles))), default=10**9)

    paces = sorted({tiny.estimate(one).cycles_per_frame for one in every_schedule(tiny)[:200]})
    counts = [best(pace) for pace in paces]
    assert counts == sorted(counts, reverse=True)


def test_nothing_is_found_below_the_fastest(tiny):
    fastest = min(tiny.estimate(one).cycles_per_frame for one in every_schedule(tiny))
    assert search(tiny, Limits(fastest))
    assert search(tiny, Limits(fastest - 1)) == []
    assert search(tiny, Limits(fastest, None, Resources(1, 1, 1, 1))) == []


@pytest.mark.parametrize("label", ["tt-lstm-integrated", "bt-gru", "cp-lstm", "dense-lstm"])
def test_every_format_can_be_searched(label):
    core = CoreModel(design_engine(build_network(SHAPES[label])))
    found = search(core, Limits(10**6))
    assert found
    for one in found[:3]:
        again = core.estimate(one.schedule)
        assert (again.cycles_per_frame, again.fill_latency_cycles) == (one.cycles, one.latency)
        assert again.resources == one.resources

"""Cores that read sparse frames, in every format: reference = C simulation, in both builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.engine import lower
from fdht_hls.lint import lint_project
from fdht_hls.schedule import default_schedule
from tests.hls.many import FRAMES, Case, ManyCores, write_project
from tests.hls.patterns import sparse_patterns
from tests.hls.test_many_networks import (
    KINDS,
    LABELS,
    compare_all,
    draw_cases,
    scheduled_cases,
)
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network

#: Every format, and both of the usual cells.
EVERY_FORMAT = (
    *("tt-lstm", "ht-gru-integrated", "ht-tree-lstm-integrated", "ht-unbalanced-gru"),
    *("tr-lstm-integrated", "bt-gru-integrated", "cp-lstm", "kcp-factors-gru-integrated"),
    *("kcp-vectors-lstm-integrated", "tucker-gru-integrated", "tucker-lstm", "dense-gru"),
)


def sparse(case: Case) -> Case:
    """The same network in a core that reads sparse frames."""
    schedule = case.schedule or default_schedule(case.network.recurrence)
    return Case(case.network, replace(schedule, frames="sparse"), f"{case.note}, sparse")


def format_cases(labels: Sequence[str]) -> list[Case]:
    return [
        sparse(Case(build_network(SHAPES[label], number, jitter=1), note=label))
        for number, label in enumerate(labels)
    ]


@pytest.mark.parametrize("build", ["native", "exact"])
def test_every_format_is_equal(build, tmp_path):
    many = ManyCores(format_cases(EVERY_FORMAT), tmp_path, build)
    for case, result in zip(many.cases, many.compare(), strict=True):
        assert result.compared == 2 * FRAMES * len(case.network.classes)
        assert result.mismatches == 0, f"{result}\n{case.note}"


def test_several_schedules_and_random_networks_are_equal(tmp_path):
    found = [*scheduled_cases(LABELS[:1])[3:], *draw_cases(40, derandomize=True)[-3:]]
    assert len(found) == len(KINDS) - 2 + 3
    many = ManyCores([sparse(case) for case in found], tmp_path, "native")
    for case, result in zip(many.cases, many.compare(), strict=True):
        assert result.mismatches == 0, f"{result}\n{case.note}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("label", SHAPES)
def test_every_kind_of_schedule_is_equal_in_every_format(label, tmp_path):
    compare_all([sparse(case) for case in scheduled_cases([label])], tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_random_networks_are_equal(tmp_path):
    found = [sparse(case) for case in draw_cases(60)]
    for start in range(0, len(found), 20):
        directory = Path(tmp_path / str(start))
        directory.mkdir()
        compare_all(found[start : start + 20], directory)


@pytest.mark.slow
@pytest.mark.parametrize("label", EVERY_FORMAT)
def test_every_format_is_synthesizable(label, tmp_path):
    write_project(format_cases([label])[0], tmp_path)
    assert lint_project(tmp_path) == []


@pytest.mark.slow
def test_stages_of_several_words_at_once_are_synthesizable(tmp_path):
    cases = [sparse(case) for case in scheduled_cases(LABELS[:1])]
    plans = [lower(case.network, case.schedule) for case in cases]
    several = [any(stage.words_at_once > 1 for stage in plan.input) for plan in plans]
    write_project(cases[several.index(True)], tmp_path)
    assert lint_project(tmp_path) == []


# What the tests above rest on ---------------------------------------------------------------------


def test_the_formats_reach_every_kind_of_stage():
    """Stages of several words a value of the mode, without a mode, and of all modes at once."""
    cases = format_cases(EVERY_FORMAT)
    stages = [stage for case in cases for stage in lower(case.network, case.schedule).input]
    assert any(stage.shape.groups > 1 for stage in stages)
    assert any(stage.coming == (1,) for stage in stages)
    assert any(not stage.shape.fibre and stage.coming == (12,) for stage in stages)
    assert {len(stage.coming or ()) for stage in stages} >= {1, 2, 3}
    cases = scheduled_cases(LABELS[:1])
    stages = [stage for case in cases for stage in lower(case.network, case.schedule).input]
    assert any(stage.words_at_once > 1 for stage in stages)


def test_the_patterns_are_of_every_kind():
    network = build_network()
    frames = sparse_patterns(network, 60, 3)
    used = (frames != 0).sum(axis=1)
    assert (used == 0).any() and (used == network.inputs).any()
    (one,) = np.nonzero(frames[(used == 1) & (frames[:, 0] != 0)][0])
    assert list(one) == [0]
    assert ((used == 1) & (frames[:, -1] != 0)).any()
    assert len(np.unique(used)) > 10

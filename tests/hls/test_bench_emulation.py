"""`fdht bench emulation`: what it reports, and that it would notice a wrong integer."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from fdht_hls.benchmarks import emulation
from fdht_hls.benchmarks.emulation import Workload, bench_emulation, report
from fdht_models.errors import ConfigError, EqualityError

# tf_keras says this of QKeras' constraints whenever a QDense is described.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning"
)


@pytest.mark.slow
def test_all_three_run_the_same_model_and_are_measured():
    workload = Workload(
        "C", clips=4, frames=10, exact_clips=1, exact_frames=2, hls4ml_frames=3, rounds=2
    )
    result = bench_emulation(workload)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["kind"] == "measured" and result["benchmark"] == "emulation"
    assert result["setting"]["inputs"] == 57_600 and result["setting"]["clips_seed"] == 1
    assert len(result["rounds"]) == 2
    for build in ("native", "exact", "hls4ml"):
        low, high = result["quartiles"][f"{build}_frames_per_second"]
        assert 0 < low <= high
    assert result["frames_per_second"] > 10 * result["hls4ml_frames_per_second"]
    low, high = result["quartiles"]["ratio"]
    assert low <= result["ratio"] <= high
    text = io.StringIO()
    Console(file=text, width=200).print(report(result))
    assert "hls4ml's predict" in text.getvalue() and "all logits equal" in text.getvalue()


def made_up(**changes) -> dict:
    """A result as `bench_emulation` gives it."""
    spread = [2999.0, 3001.0]
    names = ("native_frames_per_second", "exact_frames_per_second", "hls4ml_frames_per_second")
    return {
        "machine": {"processor": "a processor", "cores": 2, "quiet": True},
        "setting": {"configuration": "B", "inputs": 57_600, "macs_a_frame": 953_088},
        "frames_per_second": 3000.0,
        "hls4ml_frames_per_second": 3.0,
        "exact_frames_per_second": 4.0,
        "frames_per_processor_second": 1600.0,
        "ratio": 1000.0,
        "quartiles": {**dict.fromkeys(names, spread), "ratio": spread},
        "target": {"at_least": 2000.0, "met": True},
        **changes,
    }


def text_of(result: dict) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(report(result))
    return text.getvalue()


def test_the_report_says_whether_the_target_is_met():
    assert "1,000 times hls4ml's (2,999 .. 3,001)" in text_of(made_up())
    assert "2,000 frames a second: met" in text_of(made_up())
    assert "MISSED" in text_of(made_up(target={"at_least": 2000.0, "met": False}))


def test_the_report_says_that_others_disturbed():
    machine = {"processor": "p", "cores": 2, "quiet": False, "other_programs_cores": 1.5}
    assert "DISTURBED: other programs kept 1.50 cores busy" in text_of(made_up(machine=machine))
    assert "DISTURBED" not in text_of(made_up())


@pytest.mark.parametrize("name", ["clips", "frames", "exact_clips", "hls4ml_frames", "rounds"])
def test_nothing_to_do_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} = 0: must be at least 1"):
        Workload(**{name: 0})


@pytest.mark.parametrize("change", [{"clips": 1}, {"frames": 7}])
def test_a_batch_smaller_than_the_others_is_refused(change):
    with pytest.raises(ConfigError, match="must hold the clips of every other; use at least 2, 8"):
        Workload(**change)


@pytest.mark.parametrize("wrong", [emulation.EXACT, emulation.HLS4ML])
def test_a_difference_of_one_integer_is_refused(wrong):
    logits = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    values = {name: logits[:, :4].copy() for name in (emulation.EXACT, emulation.HLS4ML)}
    runs = {emulation.NATIVE: emulation._Run(10, lambda: logits)}
    for name, value in values.items():
        runs[name] = emulation._Run(4, lambda value=value: value)
    emulation._refuse_differences(runs)
    values[wrong][0, 3, 1] += 1
    with pytest.raises(EqualityError, match=f"1 of 12 logits differ from {wrong}'s"):
        emulation._refuse_differences(runs)

"""`fdht bench engine`: what its rows say, and that it goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fdht
from fdht_hls.benchmarks import engine
from fdht_hls.benchmarks.engine import CASES, QUICK, QUICK_CASES, Case, named_network
from fdht_hls.benchmarks.random_networks import STUDY, random_frames, random_network
from fdht_hls.engine import lower
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.rtl.yosys_count import KIND, Resources
from fdht_hls.schedule import default_schedule
from fdht_hls.tuner.budget import Budget
from fdht_models.errors import ConfigError, ToolError
from fdht_models.tensor.reference import ReferenceModel

COUNTED = Resources(KIND, lut=4000, lutram=500, ff=3000, dsp=40, bram36=2.5, bram18=5, carry4=7)
BOARD = Budget("small", lut=9000, ff=20_000, dsp=50, bram36=20, clock_mhz=100)


def report(io_limit: int, latency: int) -> dict[str, object]:
    return {
        "cycles_per_frame": io_limit + latency,
        "io_limit": io_limit,
        "limited_by": "memory port",
        "last_pixel_to_result": 70,
        "recurrent_latency": None,
        "mismatches": 0,
    }


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Latencies of the simulations that were asked for; none is really made."""
    made: list[int] = []

    def stand_in(network, plan, frames, cache, settings, *, quick):
        made.append(settings.latency)
        found = report(plan.port.frame_words, settings.latency)
        return SimpleNamespace(to_json=lambda: found)

    monkeypatch.setattr(engine, "cosim", stand_in)
    return made


def rows_of(
    build: Path, case: Case = QUICK_CASES[0], **settings: object
) -> list[dict[str, object]]:
    return engine.bench_engine(
        build / "engine",
        [case],
        lambda name: named_network(name, build),
        lambda network, port_bytes: default_schedule(network.recurrence, port_bytes),
        board=BOARD,
        quick=True,
        **settings,
    )


def test_rows_and_resuming(tmp_path: Path, runs: list[int], monkeypatch: pytest.MonkeyPatch):
    """yosys fails at first; the second run simulates nothing again and only counts."""

    def fails(*_: object) -> Resources:
        raise ToolError("stopped before the end of its script", field="yosys")

    monkeypatch.setattr(engine, "count_once", fails)
    with pytest.raises(ToolError, match="stopped before"):
        rows_of(tmp_path)
    assert runs == [0, 40]
    monkeypatch.setattr(engine, "count_once", lambda *_: COUNTED)
    rows = rows_of(tmp_path)
    assert runs == [0, 40]
    assert json.loads(json.dumps(rows)) == rows
    assert [row["memory_latency"] for row in rows] == [0, 40]
    for row in rows:
        assert row["experiment"] == QUICK and row["weights"] == "random"
        assert (row["ports"], row["bytes_per_clock"], row["io_limit"]) == (1, 8, 16)
        assert row["mismatches"] == 0
        assert row["cycles_per_frame"] >= row["io_limit"]
        assert (row["lut"], row["dsp"], row["bram36"]) == (4500, 40, 2.5)
        assert row["kind"] == {"cycles": "simulated", "resources": "synthesised (yosys)"}
        # 80 % of the DSP slices, where 75 % are allowed.
        assert row["used"] == {"lut": 0.5, "dsp": 0.8, "bram36": 0.125}
        assert (row["board"], row["fits"]) == ("small", False)
    assert rows[1]["cycles_per_frame"] >= rows[0]["cycles_per_frame"]
    text = engine.engine_table(rows)
    assert text.row_count == 2


@pytest.mark.parametrize("text", ["", "[]", "null", '{"mismatches": true}', "{" * 100_000])
def test_a_kept_simulation_that_is_damaged_is_made_again(tmp_path: Path, runs: list[int], text):
    default = replace(QUICK_CASES[0], tuned=False)
    rows = rows_of(tmp_path, default, resources=False)
    for kept in (tmp_path / "engine" / "simulated").iterdir():
        kept.write_text(text)
    assert rows_of(tmp_path, default, resources=False) == rows
    assert runs == [0, 40, 0, 40]


def test_designs_that_are_not_counted_are_estimated(tmp_path: Path, runs: list[int], monkeypatch):
    def never(*_: object) -> Resources:
        raise AssertionError("counts")

    monkeypatch.setattr(engine, "count_once", never)
    network, _ = named_network(QUICK, tmp_path)
    schedule = default_schedule(network.recurrence)
    found = estimate_rtl(lower(network, schedule)).resources
    default = replace(QUICK_CASES[0], tuned=False)
    for case, settings in ((default, {}), (QUICK_CASES[0], {"resources": False})):
        for row in rows_of(tmp_path, case, **settings):
            assert row["kind"]["resources"] == "estimated"
            assert (row["lut"], row["dsp"], row["bram36"]) == (found.lut, found.dsp, found.bram36)


def test_the_command_takes_what_is_there(
    tmp_path: Path,
    runs: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(engine, "QUICK_CASES", QUICK_CASES[:1])
    monkeypatch.setattr(engine, "count_once", lambda *_: COUNTED)
    arguments = ["bench", "engine", "--quick", "--build", str(tmp_path)]
    assert fdht.main([*arguments, "--json"]) == 0
    assert [row["lut"] for row in json.loads(capsys.readouterr().out)] == [4500, 4500]
    assert fdht.main(arguments) == 0
    assert "│ quick" in capsys.readouterr().out
    assert fdht.main([*arguments, "--only", "nothing"]) == 2
    assert "only: names no design" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_network_for_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arguments = ["bench", "engine", "--quick", "--build", str(tmp_path), "--json"]
    assert fdht.main(arguments) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["bytes_per_clock"], row["io_limit"]) for row in rows] == [(8, 16)] * 2 + [
        (16, 8)
    ] * 2
    assert [row["kind"]["resources"] for row in rows] == ["synthesised (yosys)"] * 2 + [
        "estimated"
    ] * 2
    for row in rows:
        assert row["mismatches"] == 0
        assert row["cycles_per_frame"] >= row["io_limit"]
        assert row["lut"] > 1000 and row["dsp"] >= 0 and row["bram36"] > 0


def test_the_cases_are_those_of_the_requirements():
    assert {case.experiment for case in CASES} == {"motion", "A0", "B", "C"}
    assert {case.port_bytes for case in CASES} == {8, 16, 32}
    tuned = [(case.experiment, case.port_bytes) for case in CASES if case.tuned]
    assert tuned == [("motion", 8), ("B", 8), ("A0", 8), ("C", 16)]
    assert Case("B", 16, True).label == "B, tuned, 128 bits"
    for name in ("A0", "B", "C"):
        assert (STUDY[name].input_size, STUDY[name].units) == (57_600, 256)


def test_an_unknown_experiment(tmp_path: Path):
    with pytest.raises(ConfigError, match="nothing-of-the-kind"):
        named_network("nothing-of-the-kind", tmp_path)


def test_an_experiment_that_is_not_trained_has_random_weights(tmp_path: Path):
    network, weights = named_network(engine.DEFAULT, tmp_path)
    assert weights == "random"
    assert network.inputs == 57_600
    assert all(np.ptp(core.codes) > 100 for core in network.recurrence.cores.values())


def test_random_networks_are_alive_and_the_same_for_a_seed():
    shape = engine._QUICK_SHAPE
    network = random_network("a", shape, seed=1)
    frames = random_frames(network, 20)
    logits = ReferenceModel(network).run(frames)
    assert len(np.unique(logits)) > 100
    np.testing.assert_array_equal(
        ReferenceModel(random_network("a", shape, seed=1)).run(frames), logits
    )
    assert not np.array_equal(
        ReferenceModel(random_network("a", shape, seed=2)).run(frames), logits
    )

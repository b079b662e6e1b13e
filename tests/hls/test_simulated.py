"""Figures of `fdht cosim` are those of a very core, or none."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import pytest

from fdht_hls.simulated import simulated_core
from fdht_models.artifacts import write_json
from fdht_models.directories import BuildDirectory
from fdht_overlays.plan.package import simulated_cycles
from tests.overlays.sample_network import sample_network

REPORT = {"verilog": "a" * 64, "mismatches": 0, "cycles_per_frame": 7260.5}


def test_the_report_of_the_same_verilog_is_found(tmp_path):
    assert simulated_core(tmp_path / "cosim", "a" * 64) is None
    write_json(tmp_path / "cosim" / "report.json", REPORT)
    assert simulated_core(tmp_path / "cosim", "a" * 64) == REPORT


@pytest.mark.parametrize(
    "report",
    [
        {**REPORT, "verilog": "b" * 64},
        {**REPORT, "mismatches": 1},
        {key: value for key, value in REPORT.items() if key != "verilog"},
        {**REPORT, "cycles_per_frame": None},
        {**REPORT, "schedule": {"frames": "sparse"}},
        {**REPORT, "schedule": {"frames": "raw"}, "full_frame": {"cycles_per_frame": True}},
        [],
    ],
)
def test_any_other_report_is_not(tmp_path, report):
    write_json(tmp_path / "cosim" / "report.json", report)
    assert simulated_core(tmp_path / "cosim", "a" * 64) is None


@pytest.mark.parametrize("frames", ["dense", "sparse", "raw"])
def test_what_a_build_takes_is_the_slowest_frame(tmp_path, frames):
    """Issue: a clip's clocks were handed over as if they were those of every frame."""
    full = {"cycles_per_frame": 7260.5, "last_pixel_to_result": 205}
    clip = {**REPORT, "cycles_per_frame": 511.2, "full_frame": full}
    report = {**(REPORT if frames == "dense" else clip), "schedule": {"frames": frames}}
    write_json(tmp_path / "cosim" / "report.json", report)
    found = simulated_cycles(tmp_path / "cosim", "a" * 64)
    assert found is not None and (found.cycles, found.kind) == (7260, "simulated")


def test_a_damaged_report_is_none(tmp_path):
    (tmp_path / "cosim").mkdir()
    (tmp_path / "cosim" / "report.json").write_text("{")
    assert simulated_core(tmp_path / "cosim", "a" * 64) is None


def test_what_a_simulation_leaves_is_found_by_its_verilog(tmp_path, monkeypatch):
    stage = pytest.importorskip(
        "fdht_hls.rtl.experiments", reason="NOT TESTED: pip install amaranth"
    )
    sample_network().save(tmp_path / "model" / "network.json")
    result = SimpleNamespace(to_json=lambda: {"mismatches": 0, "cycles_per_frame": 97.0})
    monkeypatch.setattr(stage, "clip_of", lambda *given, **named: None)
    monkeypatch.setattr(stage, "cosim", lambda *given, **named: result)
    monkeypatch.setattr(stage, "emit_verilog", lambda *given: "module fdht_lstm();")
    settings = SimpleNamespace(seed=0)
    stage.cosim_experiment(BuildDirectory(tmp_path), 5, None, settings)
    digest = hashlib.sha256(b"module fdht_lstm();").hexdigest()
    found = simulated_core(tmp_path / "cosim", digest)
    assert found is not None and found["cycles_per_frame"] == 97.0

"""Figures of `fdht cosim` are those of a very core, or none."""

from __future__ import annotations

import pytest

from fdht_hls.simulated import simulated_core
from fdht_models.artifacts import write_json

REPORT = {"verilog": "a" * 64, "mismatches": 0, "cycles_per_frame": 7260.5}


def test_the_report_of_the_same_verilog_is_found(tmp_path):
    assert simulated_core(tmp_path, "a" * 64) is None
    write_json(tmp_path / "cosim" / "report.json", REPORT)
    assert simulated_core(tmp_path, "a" * 64) == REPORT


@pytest.mark.parametrize(
    "report",
    [
        {**REPORT, "verilog": "b" * 64},
        {**REPORT, "mismatches": 1},
        {key: value for key, value in REPORT.items() if key != "verilog"},
        {**REPORT, "cycles_per_frame": None},
        [],
    ],
)
def test_any_other_report_is_not(tmp_path, report):
    write_json(tmp_path / "cosim" / "report.json", report)
    assert simulated_core(tmp_path, "a" * 64) is None


def test_a_damaged_report_is_none(tmp_path):
    (tmp_path / "cosim").mkdir()
    (tmp_path / "cosim" / "report.json").write_text("{")
    assert simulated_core(tmp_path, "a" * 64) is None

"""csynth.xml of seven versions of the tool, and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fdht_hls.vitis.csynth import read_csynth
from fdht_models.errors import ArtifactError
from tests.hls.vitis.standin import CYCLES, SAMPLES, csynth_xml

#: Version, part, top, (target, estimated), latency, interval, (lut, ff, dsp, bram36).
REAL = {
    "2020.1_csynth.xml": (
        *("2020.1", "xczu7ev-ffvc1156-2-e", "VecDotProduct", (10.0, 7.3), None, None),
        (5322, 3726, 0, 17.0),
    ),
    "2022.1_csynth.xml": (
        *("2022.1", "xck26-sfvc784-2LV-c", "MNIST", (10.0, 7.331), 1735, 1297),
        (28240, 30761, 156, 15.0),
    ),
    "2022.2_csynth.xml": (
        *("2022.2", "xck26-sfvc784-2LV-c", "ViT_act", (10.0, 7.674), None, None),
        (270827, 172584, 1452, 451.0),
    ),
    "2023.1_myproject_csynth.xml": (
        *("2023.1", "xczu49dr-ffvf1760-2-e", "myproject", (5.0, 3.649), 695, 578),
        (339116, 65881, 29, 166.0),
    ),
    "2023.2_csynth.xml": (
        *("2023.2.2", "xc7a200t-sbv484-1", "solveCooling", (10.0, 6.86), 6, 7),
        (285, 534, 8, 0.0),
    ),
    "2024.1_csynth.xml": (
        *("2024.1", "xc7z020-clg400-1", "SpMV", (10.0, 7.3), None, None),
        (13462, 11269, 3, 4.0),
    ),
    "2025.2_csynth.xml": (
        *("2025.2", "xc7z020-clg484-1", "conv2d", (10.0, 7.3), 912528, 912529),
        (10228, 9321, 12, 17.0),
    ),
}


def test_every_sample_is_tested():
    assert set(REAL) == {path.name for path in SAMPLES.glob("*csynth.xml")}


@pytest.mark.parametrize("name", REAL)
def test_a_real_report_is_read(name):
    version, part, top, periods, latency, interval, resources = REAL[name]
    report = read_csynth(SAMPLES / name)
    assert (report.version, report.part, report.top.name) == (version, part, top)
    assert (report.clock.target, report.clock.estimated) == periods
    assert (report.top.latency, report.top.interval) == (latency, interval)
    assert tuple(report.top.resources.values()) == resources


def test_resources_of_the_device_are_the_data_sheet_s():
    zynq = read_csynth(SAMPLES / "2024.1_csynth.xml").available
    assert zynq == {"lut": 53200, "ff": 106400, "dsp": 220, "bram36": 140}
    kria = read_csynth(SAMPLES / "2022.1_csynth.xml").available
    assert kria == {"lut": 117120, "ff": 234240, "dsp": 1248, "bram36": 144}


def test_processes_of_a_dataflow_function():
    report = read_csynth(SAMPLES / "2022.1_csynth.xml")
    assert [(module.name, module.interval) for module in report.processes()] == [
        ("LoadWeights", 438),
        ("LoadInput", 786),
        ("DepthwiseConv2d_28_10_1_3_s", 1296),
        ("PointwiseConv2d_10_1_4_s", 414),
        ("DepthwiseConv2d_10_4_4_3_s", 1127),
        ("PointwiseConv2d_4_4_12_s", 642),
        ("DepthwiseConv2dFinal_4_1_12_4_s", 280),
        ("PointwiseConv2d_1_12_10_s", 65),
        ("Loop_VITIS_LOOP_226_1_proc6", 13),
    ]
    region = report.region()
    assert region is not None and (region.name, region.interval) == ("MNIST", 1297)


def test_processes_of_a_dataflow_loop():
    """As in our core: the body of the loop over frames is a module of its own."""
    report = read_csynth(SAMPLES / "2022.2_csynth.xml")
    region = report.region()
    assert region is not None
    assert (region.name, region.interval) == ("dataflow_in_loop_ln131_for_each_patch", 24)
    found = [(module.name, module.latency, module.interval) for module in report.processes()]
    assert found == [("layernorm_accumulate", 35, 24), ("layernorm_output", 88, 24)]
    assert report.modules["compute_norm"].interval == 3198  # "3196 ~ 3198"


def test_a_design_without_processes():
    assert read_csynth(SAMPLES / "2025.2_csynth.xml").processes() == []


@pytest.mark.parametrize(
    ("name", "slack", "met"),
    [
        ("2022.2_csynth.xml", -0.374, False),
        ("2022.1_csynth.xml", -0.031, False),
        ("2024.1_csynth.xml", 0.0, True),
        ("2023.2_csynth.xml", 0.44, True),
    ],
)
def test_the_uncertainty_belongs_to_the_tools_behind(name, slack, met):
    clock = read_csynth(SAMPLES / name).clock
    assert clock.slack == pytest.approx(slack, abs=1e-9)
    assert clock.met == met


def test_the_core_s_own_layout_is_read(tmp_path):
    path = tmp_path / "csynth.xml"
    path.write_text(csynth_xml())
    report = read_csynth(path)
    assert [module.name for module in report.processes()] == list(CYCLES)
    assert [module.interval for module in report.processes()] == list(CYCLES.values())


# What is refused ----------------------------------------------------------------------------------


def refuse(path: Path, message: str) -> None:
    pattern = f"^{re.escape(str(path))}: .*{message}.*; delete it and run the step csynth again$"
    with pytest.raises(ArtifactError, match=pattern):
        read_csynth(path)


def test_a_missing_report_is_refused(tmp_path):
    refuse(tmp_path / "csynth.xml", "cannot be read")


@pytest.mark.parametrize("name", REAL)
def test_a_report_cut_off_anywhere_is_refused(name, tmp_path):
    text = (SAMPLES / name).read_text().rstrip()
    path = tmp_path / "csynth.xml"
    for length in range(0, len(text), max(1, len(text) // 40)):
        path.write_text(text[:length])
        refuse(path, "is not whole XML")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not whole XML"),
        (b"\x00\x01\x02" * 100, "is not whole XML"),
        (b"<html><body/></html>", "is not a report of C synthesis"),
        (b"<profile/>", "is not a report of C synthesis: it has no UserAssignments"),
        (b"<!DOCTYPE profile [<!ENTITY a 'b'>]><profile/>", "it has a document type"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, message):
    path = tmp_path / "csynth.xml"
    path.write_bytes(content)
    refuse(path, message)


def test_another_report_of_the_tools_is_refused(tmp_path):
    refuse(SAMPLES / "2023.2_export_impl.xml", "is not a report of C synthesis")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (r"<LUT>8000</LUT>", "", "has no LUT"),
        (r"<LUT>8000</LUT>", "<LUT>many</LUT>", "has 'many' as LUT"),
        (r"<LUT>8000</LUT>", "<LUT>-1</LUT>", "has '-1' as LUT"),
        (r"<LUT>8000</LUT>", "<LUT>0.5</LUT>", "has 0.5 as LUT"),
        (r"<DSP>60</DSP>", "<DSP>inf</DSP>", "has 'inf' as DSP"),
        (r"<Part>.*?</Part>", "<Part> </Part>", "has no Part"),
        (r"<Version>2024.1</Version>", "", "has no Version"),
        (r"<EstimatedClockPeriod>7.200</EstimatedClockPeriod>", "", "has no EstimatedClockPeriod"),
        (r"<TargetClockPeriod>10.00", "<TargetClockPeriod>nan", "has 'nan' as TargetClockPeriod"),
        (r"<Worst-caseLatency>99000", "<Worst-caseLatency>9e4", "has '9e4' as Worst-caseLatency"),
        (r"<AvailableResources>.*?</AvailableResources>", "", "AreaEstimates/AvailableResources"),
        (r"<SummaryOfOverallLatency>.*?</SummaryOfOverallLatency>", "", "SummaryOfOverallLatency"),
        (r"<Name>read_frame.*?</Name>", "<Name>other</Name>", "names the module 'read_frame_8u"),
        (r"<TopModelName>fdht_lstm", "<TopModelName>other", "is of 'other', and its hierarchy of"),
    ],
)
def test_a_damaged_report_is_refused(tmp_path, old, new, message):
    path = tmp_path / "csynth.xml"
    text, count = re.subn(old, new, csynth_xml(), count=1, flags=re.DOTALL)
    assert count == 1
    path.write_text(text)
    refuse(path, message)

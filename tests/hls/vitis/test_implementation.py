"""export_syn.xml and export_impl.xml, and files that are none."""

from __future__ import annotations

import re

import pytest

from fdht_hls.vitis.csynth import read_implementation
from fdht_models.errors import ArtifactError
from tests.hls.vitis.standin import SAMPLES

IMPL = SAMPLES / "2023.2_export_impl.xml"


def test_placing_and_routing():
    report = read_implementation(IMPL)
    assert report["kind"] == "reported by Vivado after placing and routing"
    assert report["version"] == "2023.2.2"
    assert report["clock"] == {"target_ns": 10.0, "achieved_ns": 5.692, "met": True}
    assert report["resources"] == {"lut": 176, "ff": 173, "dsp": 8, "bram36": 0}
    # The data sheet of the XC7A200T (DS180): 33,650 slices of 4 LUT, 740 DSP, 365 block RAMs.
    assert report["available"] == {"lut": 134600, "ff": 269200, "dsp": 740, "bram36": 365}


def test_logic_synthesis_alone():
    report = read_implementation(SAMPLES / "2023.2_export_syn.xml")
    assert report["kind"] == "reported by Vivado after synthesis"
    assert report["clock"]["achieved_ns"] == 5.745


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<RUN_TYPE>impl", "<RUN_TYPE>guess", "has 'guess' as RUN_TYPE"),
        ("<TIMING_MET>TRUE", "<TIMING_MET>PERHAPS", "has 'PERHAPS' as TIMING_MET"),
        ("AchievedClockPeriod>5.692", "AchievedClockPeriod>NA", "has 'NA' as AchievedClockPeriod"),
        ("<FF>173</FF>", "", "has no FF"),
        ("TimingReport", "Timing", "lacks its timing or its area"),
        ("RunData", "Run", "is not a report of Vivado on an exported core: it has no RunData"),
        ("</profile>", "", "is not whole XML"),
    ],
)
def test_a_damaged_report_is_refused(tmp_path, old, new, message):
    path = tmp_path / "export_impl.xml"
    text = IMPL.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match=f"{re.escape(message)}.*run the step impl again"):
        read_implementation(path)


def test_a_report_of_c_synthesis_is_refused():
    with pytest.raises(ArtifactError, match="is not a report of Vivado on an exported core"):
        read_implementation(SAMPLES / "2024.1_csynth.xml")

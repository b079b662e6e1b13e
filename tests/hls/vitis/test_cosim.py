"""<top>_cosim.rpt of several versions, and files that are none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fdht_hls.vitis.cosim_report import read_cosim
from fdht_models.errors import ArtifactError, ToolError
from tests.hls.vitis.standin import SAMPLES, cosim_rpt

#: Clocks of the shortest call, of the longest, and in all.
REAL = {
    "2020.1_cosim.rpt": (10099, 10099, 10099),
    "2022.2_cosim.rpt": (3, 3, 127),
    "2023.2_cosim.rpt": (0, 0, 0),
    "2024.1_cosim.rpt": (269, 616, 2134),
    "2025.2_cosim.rpt": (1143897, 1143897, 1143897),
}
FAILED = ["2022.2_fail_cosim.rpt", "2023.1_fail_cosim.rpt"]
TOO_OLD = "2019.1_cosim.rpt"


def test_every_sample_is_tested():
    assert {*REAL, *FAILED, TOO_OLD} == {path.name for path in SAMPLES.glob("*cosim.rpt")}


@pytest.mark.parametrize("name", REAL)
def test_a_real_report_is_read(name):
    report = read_cosim(SAMPLES / name)
    assert (report.language, report.least, report.most, report.total) == ("Verilog", *REAL[name])


@pytest.mark.parametrize("name", FAILED)
def test_a_real_failure_is_an_error(name):
    with pytest.raises(ToolError, match=r"^co-simulation: Verilog: Fail; .*read the log beside"):
        read_cosim(SAMPLES / name)


def test_a_co_simulation_that_was_not_run_is_an_error(tmp_path):
    path = tmp_path / "x_cosim.rpt"
    path.write_text(cosim_rpt("NA"))
    with pytest.raises(ToolError, match="no RTL was simulated"):
        read_cosim(path)


@pytest.mark.parametrize("status", ["Timeout", "Unknown", "Passed", ""])
def test_any_other_word_than_pass_is_an_error(tmp_path, status):
    path = tmp_path / "x_cosim.rpt"
    path.write_text(cosim_rpt(status))
    with pytest.raises(ToolError, match=f"Verilog: {status}"):
        read_cosim(path)


def test_the_pace_is_what_more_frames_take_more(tmp_path):
    """404 clocks for 4 frames and 598 for 6: 97 a frame, and 16 that no frame explains."""
    path = tmp_path / "x_cosim.rpt"
    path.write_text(cosim_rpt())
    report = read_cosim(path)
    assert (report.clocks_per_frame((4, 6)), report.fill((4, 6))) == (97, 16)
    assert (report.clocks_per_frame((6, 4)), report.fill((6, 4))) == (97, 16)


def test_equal_calls_do_not_tell_the_pace(tmp_path):
    path = tmp_path / "x_cosim.rpt"
    path.write_text(cosim_rpt())
    assert read_cosim(path).clocks_per_frame((5, 5)) is None
    assert read_cosim(path).fill((5, 5)) is None
    path.write_text(cosim_rpt(least="NA", most="NA"))
    assert read_cosim(path).clocks_per_frame((4, 6)) is None


# What is refused ----------------------------------------------------------------------------------


def refuse(path: Path, message: str) -> None:
    pattern = f"^{re.escape(str(path))}: {message}.*; delete it and run the step cosim again$"
    with pytest.raises(ArtifactError, match=pattern):
        read_cosim(path)


def test_a_report_of_vivado_hls_is_refused():
    refuse(SAMPLES / TOO_OLD, "is not a report of co-simulation")


def test_a_missing_report_is_refused(tmp_path):
    refuse(tmp_path / "x_cosim.rpt", "cannot be read")


@pytest.mark.parametrize("name", [*REAL, *FAILED])
def test_a_report_cut_off_anywhere_is_refused(name, tmp_path):
    text = (SAMPLES / name).read_text().rstrip()
    path = tmp_path / "x_cosim.rpt"
    for length in range(0, len(text), 7):
        path.write_text(text[:length])
        refuse(path, "is ")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"Pass", b"<profile/>"])
def test_a_foreign_file_is_refused(tmp_path, content):
    path = tmp_path / "x_cosim.rpt"
    path.write_bytes(content)
    refuse(path, "is not a report of co-simulation")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("501|", "fast|", "has 'fast' where a number of clocks is due"),
        ("501|", "-1|", "has '-1' where"),
        ("501|", "5e3|", "has '5e3' where"),
        ("501|", "501|502|", "has 9 columns in its table where 8 are due"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path, old, new, message):
    path = tmp_path / "x_cosim.rpt"
    text = cosim_rpt()
    assert old in text
    path.write_text(text.replace(old, new))
    refuse(path, message)

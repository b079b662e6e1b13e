"""Readers of Vivado's reports and logs, on real ones cut down; see samples/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_hls.flow.build_plan import Step
from fdht_hls.flow.failure import Ended, decisive_line, failure
from fdht_models.errors import ArtifactError
from fdht_overlays.vivado.reports import read_power, read_timing, read_utilisation
from fdht_overlays.vivado.scripts import CAUSES, version_of

SAMPLES = Path(__file__).parent / "samples"
SYNTHESIS = Step("synthesis", "Vivado", (), 60.0)


@pytest.mark.parametrize(
    ("version", "device", "used", "available"),
    [
        ("2020.1", "7z020clg400-1", (29073, 36542, 121, 68), (53200, 106400, 220, 140)),
        ("2021.2", "xczu3eg-sbva484-1-e", (18, 14, 0, 0), (70560, 141120, 360, 216)),
        ("2023.2", "xc7a100tcsg324-1", (4289, 4567, 133, 96), (63400, 126800, 240, 135)),
    ],
)
def test_utilisation(version, device, used, available):
    found = read_utilisation(SAMPLES / f"{version}_utilization.rpt")
    names = ("lut", "ff", "dsp", "bram36")
    assert found.device == device
    assert found.used == dict(zip(names, used, strict=True))
    assert found.available == dict(zip(names, available, strict=True))
    assert found.share("lut") == pytest.approx(used[0] / available[0])


def test_half_a_block_of_memory_is_read(tmp_path):
    text = (SAMPLES / "2023.2_utilization.rpt").read_text()
    path = tmp_path / "half.rpt"
    path.write_text(text.replace("| Block RAM Tile    |   96 |", "| Block RAM Tile    | 96.5 |"))
    assert read_utilisation(path).used["bram36"] == 96.5


@pytest.mark.parametrize(
    ("version", "setup", "hold", "pulse"),
    [("2020.1", 2.458, 0.013, 6.750), ("2024.2", 7.037, 0.238, 4.500)],
)
def test_timing(version, setup, hold, pulse):
    found = read_timing(SAMPLES / f"{version}_timing_summary.rpt")
    assert (found.setup, found.hold, found.pulse) == (setup, hold, pulse)
    assert found.failing == 0 and found.met and found.worst == min(setup, hold, pulse)


def missed(tmp_path, verdict="Timing constraints are not met.", wns="-0.241", failing="31"):
    """A real summary with another slack and verdict: made up."""
    text = (SAMPLES / "2020.1_timing_summary.rpt").read_text()
    old = "      2.458        0.000                      0 "
    assert old in text
    text = text.replace(old, f"     {wns}       -3.404                     {failing} ")
    path = tmp_path / "missed.rpt"
    path.write_text(text.replace("All user specified timing constraints are met.", verdict))
    return path


def test_a_missed_clock(tmp_path):
    found = read_timing(missed(tmp_path))
    assert (found.met, found.worst, found.failing) == (False, -0.241, 31)


@pytest.mark.parametrize(
    "verdict", ["All user specified timing constraints are met.", "", "Timing is fine."]
)
def test_a_summary_that_contradicts_itself_is_refused(tmp_path, verdict):
    with pytest.raises(ArtifactError, match="contradicts itself"):
        read_timing(missed(tmp_path, verdict))


def test_an_unconstrained_design_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="knows no slack: is the clock constrained"):
        read_timing(missed(tmp_path, wns="NA"))


def test_power():
    found = read_power(SAMPLES / "2024.2_power.rpt")
    assert (found.total, found.dynamic, found.static) == (0.085, 0.017, 0.068)
    assert (found.confidence, found.kind) == ("Medium", "estimated")


READERS = {
    "utilization": (read_utilisation, "2023.2_utilization.rpt"),
    "timing": (read_timing, "2024.2_timing_summary.rpt"),
    "power": (read_power, "2024.2_power.rpt"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_report_that_is_cut_off_anywhere_is_refused_or_whole(tmp_path, kind):
    reader, name = READERS[kind]
    text = (SAMPLES / name).read_text()
    whole = reader(SAMPLES / name)
    path = tmp_path / "cut.rpt"
    refused = 0
    for lines in range(len(text.splitlines())):
        path.write_text("\n".join(text.splitlines()[:lines]))
        try:
            assert reader(path) == whole
        except ArtifactError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_report_is_refused(tmp_path, kind):
    reader, _ = READERS[kind]
    with pytest.raises(ArtifactError, match="cannot be read"):
        reader(tmp_path / "none.rpt")
    path = tmp_path / "other.rpt"
    path.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ArtifactError, match=r"other\.rpt: is not the report that is due"):
        reader(path)


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("utilization", "4289", "many", "'many' where a number is due"),
        ("utilization", "63400 |  6.76", "0 |  6.76", "device has no Slice LUTs"),
        ("utilization", "| Slice Registers            | 4567 |     0 |", "| Slice Registers |",
         "has 3 columns in its row 'Slice Registers'"),
        ("utilization", "| Tool Version : Vivado v.2023.2", "| Tool", "does not say of which Viv"),
        ("timing", "                  1281", "", "has 11 figures in its row of slacks"),
        ("power", "| Confidence Level         | Medium ", "| X | Y", "no row 'Confidence Level'"),
    ],
)  # fmt: skip
def test_a_damaged_report_is_refused(tmp_path, kind, old, new, message):
    reader, name = READERS[kind]
    text = (SAMPLES / name).read_text()
    assert old in text
    path = tmp_path / "damaged.rpt"
    path.write_text(text.replace(old, new))
    with pytest.raises(ArtifactError, match=message):
        reader(path)


LICENCE = (
    "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device "
    "'xczu9eg'. Please run the Vivado License Manager for assistance in determining"
)
PLACE = (
    "ERROR: [Place 30-640] Place Check : This design requires more RAMB36/FIFO cells than are "
    "available in the target device. This design requires 324 of such cell types but only 140 "
    "compatible sites are available in the target device."
)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (LICENCE, 1, r"Vivado synthesis: has no licence: ERROR: \[Common 17-345\] A valid license"),
        (f"INFO: x\n{PLACE}\nERROR: [Common 17-69] Command failed", 1,
         r"needs more than the device has: ERROR: \[Place 30-640\].*324.*only 140.*fdht tune"),
        ("ERROR: [FDHT] synthesis: timing not met: WNS is -0.213 ns", 1,
         "does not meet its timing: timing not met: WNS is -0.213 ns.*--allow-timing-failure"),
        (f"{PLACE}\nERROR: [FDHT] synthesis: {PLACE}", 1, "needs more than the device has: ERROR"),
        ("cp: error writing 'x': No space left on device", 1, "no room on the disk: cp: error"),
        ("terminate called after throwing 'std::bad_alloc'", 134, "ran out of memory: terminate"),
        ("ERROR: [FDHT] Vivado 2019.2 is too old; 2022.2 or later is needed", 1, "is too old: Viv"),
        ("ERROR: [FDHT] design: Vivado has no board file avnet", 1, "lacks a board file"),
        ("ERROR: [Synth 8-439] module 'x' not found", 1, r"failed: ERROR: \[Synth 8-439\] module"),
        ("Phase 1", -9, r"was killed \(SIGKILL\); often for lack of memory; the same command"),
        ("Phase 1", 143, r"was killed \(SIGTERM\); the same command goes on"),
        ("Phase 1", 3, "exit code 3 and no error line; its last line: Phase 1; see the.log"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_with_the_decisive_sentence(text, code, message):
    error = failure(Ended(SYNTHESIS, Path(), text, code, "the.log"), CAUSES)
    with pytest.raises(type(error), match=message):
        raise error
    assert "\n" not in str(error) and str(error).endswith("see the.log")


def test_a_log_without_errors_has_no_decisive_line():
    assert decisive_line("INFO: fine\nCRITICAL WARNING: [Timing 38-282] The design") is None
    assert version_of("nothing") is None
    assert version_of("****** Vivado v2024.1 (64-bit)") == "2024.1"
    assert version_of("FDHT: vivado 2023.2.1\n") == "2023.2.1"

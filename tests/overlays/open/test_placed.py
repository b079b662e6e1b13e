"""Real logs and features of nextpnr-xilinx, cut to a few lines: see samples/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_models.errors import ToolError
from fdht_overlays.open.check import count_features
from fdht_overlays.open.placed import check_clock, read_placed

SAMPLES = Path(__file__).with_name("samples")
LOG = (SAMPLES / "place-and-route.log").read_text()


def test_sites_and_the_clock_after_routing():
    placed = read_placed(LOG)
    assert placed.used["SLICE_LUTX"] == (16402, 106400)
    assert placed.used["RAMB36E1"] == (1, 140) and placed.used["PS7"] == (1, 1)
    assert "DSP48E1" not in placed.used
    # 52.23 MHz is what was expected before there were wires.
    assert placed.max_mhz == 89.81
    found = placed.to_json()
    assert found["used"]["CARRY4"] == {"used": 866, "of": 13300} and found["sign_off"] is False


def test_the_slowest_clock_counts():
    other = "Info: Max frequency for clock                 'b': 61.00 MHz (PASS at 50.00 MHz)\n"
    assert read_placed(LOG + other).max_mhz == 61.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Max frequency", "Nothing", "no placed and routed design"),
        ("%\n", "\n", "no placed and routed design"),
        ("iter=", "none=", "no placed and routed design"),
        ("overused=0 overuse=0", "overused=3 overuse=4", "left 3 wires that cross others"),
    ],
)
def test_a_log_that_does_not_tell_is_refused(old: str, new: str, message: str):
    with pytest.raises(ToolError, match=message):
        read_placed(LOG.replace(old, new))


def test_too_slow_is_refused():
    placed = read_placed(LOG.replace("89.81 MHz (PASS", "45.12 MHz (FAIL"))
    with pytest.raises(ToolError, match=r"reaches 45.12 of 50 MHz \(placed and routed.*lut=0.15"):
        check_clock(placed, 50.0)
    check_clock(placed, 45.0)


def test_features_are_counted_as_yosys_counts_cells():
    found = count_features((SAMPLES / "shell.fasm").read_text())
    assert found["slice"] == 4
    # The four LUTs of a memory, and a shift register.
    assert found["lutram"] == 5
    assert found["carry"] == 1 and found["ramb18"] == 2 and found["dsp"] == 0
    # One in each slice; the last has no ZINI.
    assert found["ff"] == 4

"""Real logs and features of nextpnr-xilinx, cut to a few lines: see samples/README.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from fdht_models.errors import ArtifactError, ToolError
from fdht_overlays.open.check import count_features
from fdht_overlays.open.placed import Clock, read_placed
from tests.overlays.open.tools import place_log

SAMPLES = Path(__file__).with_name("samples")
LOG = (SAMPLES / "place-and-route.log").read_text()


def test_sites_and_the_clock_after_routing():
    placed = read_placed(LOG, "x")
    assert placed.used["SLICE_LUTX"] == (16402, 106400)
    assert placed.used["RAMB36E1"] == (1, 140) and placed.used["PS7"] == (1, 1)
    assert "DSP48E1" not in placed.used
    # 52.23 MHz is what was expected before there were wires.
    assert placed.clock == Clock("MAXIGP0ACLK", 89.81, 50.0)
    assert placed.clock.slack == pytest.approx(20 - 1000 / 89.81)
    found = placed.to_json()
    assert found["used"]["CARRY4"] == {"used": 866, "of": 13300}
    assert found["clock"]["sign_off"] is False


def test_the_slowest_clock_counts():
    other = "Warning: Max frequency for clock                 'b': 41.00 MHz (FAIL at 50.00 MHz)\n"
    assert read_placed(LOG + other, "x").clock.name == "b"
    assert read_placed(place_log(45.12), "x").clock.mhz == 45.12


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Max frequency", "Nothing", r"clock missing"),
        ("%\n", "\n", r"sites used missing"),
        ("iter=", "none=", r"rounds of routing missing"),
        # An estimate before routing is no figure.
        ("Info: Routing complete.", "", r"clock missing"),
        ("MAXIGP0ACLK': 89.81", "MAXIGP0ACLK': 0.00", r"clock missing"),
    ],
)
def test_a_log_that_does_not_tell_is_refused(old: str, new: str, message: str):
    assert old in LOG
    with pytest.raises(ArtifactError, match=rf"x: tells of no placed and routed.*{message}"):
        read_placed(LOG.replace(old, new), "x")


def test_wires_that_cross_are_refused():
    crossing = LOG.replace("overused=0 overuse=0", "overused=3 overuse=4")
    with pytest.raises(ToolError, match=r"left 3 wires that cross others.*lut=0.15"):
        read_placed(crossing, "x")


def test_features_are_counted_as_yosys_counts_cells():
    found = count_features((SAMPLES / "shell.fasm").read_text())
    assert found["slice"] == 4
    # The four LUTs of a memory, and a shift register.
    assert found["lutram"] == 5
    assert found["carry"] == 1 and found["ramb18"] == 2 and found["dsp"] == 0
    # One in each slice; the last has no ZINI.
    assert found["ff"] == 4

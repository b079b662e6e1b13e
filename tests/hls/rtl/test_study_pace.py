"""The study's configurations at full size in RTL: the pace of the port, and a prompt result."""

from __future__ import annotations

import pytest

from fdht_hls.benchmarks.random_networks import STUDY as CONFIGURATIONS
from fdht_hls.benchmarks.random_networks import random_frames as noise
from fdht_hls.benchmarks.random_networks import random_network
from fdht_hls.engine import lower
from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.schedule import default_schedule
from tests.hls.test_shapes import STUDY
from tests.models.strategies import build_network, random_frames

#: Most clocks a frame by bytes a clock, of which the port needs 7,200, 3,600 and 1,800; and from
#: the last pixel to the result.
MOST_CYCLES, MOST_LATENCY = {8: 7350, 16: 3700, 32: 1900}, 650


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("name", STUDY)
def test_a_configuration_keeps_up_with_one_port(name, tmp_path):
    network = build_network(STUDY[name][0], classes=11)
    frames = random_frames(network, 6).astype("uint8")
    schedule = default_schedule(network.recurrence)
    found = cosim(network, lower(network, schedule), frames, tmp_path, RunSettings(), 5000)
    assert found.comparison.compared == 6 * 11 and found.comparison.mismatches == 0
    assert found.cycles_per_frame <= MOST_CYCLES[8] and found.limited_by == "memory port"
    assert found.last_pixel_to_result <= MOST_LATENCY


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize(
    ("name", "port_bytes", "fibres"),
    [("C", 16, 1), ("B", 16, 1), ("C", 32, 2), ("B", 32, 2)],
)
def test_a_configuration_keeps_up_with_wider_ports(name, port_bytes, fibres, tmp_path):
    """2,400 fibres a frame: behind four ports they are too many for one a clock."""
    network = random_network(name, CONFIGURATIONS[name])
    schedule = default_schedule(network.recurrence, port_bytes)
    assert schedule.fibres == (fibres, 1)
    frames = noise(network, 7)
    for latency in (0, 40):
        settings = RunSettings(latency=latency)
        found = cosim(
            network, lower(network, schedule, port_bytes), frames, tmp_path, settings, 5000
        )
        assert found.comparison.compared == 7 * 11 and found.comparison.mismatches == 0
        assert found.cycles_per_frame <= MOST_CYCLES[port_bytes]
        assert found.limited_by == "memory port"
        assert found.last_pixel_to_result <= MOST_LATENCY

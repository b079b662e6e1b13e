"""The study's configurations at full size in RTL: the pace of one port, and a prompt result."""

from __future__ import annotations

import pytest

from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.simulation import RunSettings
from fdht_hls.schedule import default_schedule
from tests.hls.test_shapes import STUDY
from tests.models.strategies import build_network, random_frames

#: What issue "The engine in RTL" asks of one 64-bit port.
MOST_CYCLES, MOST_LATENCY = 7350, 650


@pytest.mark.slow
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("name", STUDY)
def test_a_configuration_keeps_up_with_one_port(name, tmp_path):
    network = build_network(STUDY[name][0], classes=11)
    frames = random_frames(network, 6).astype("uint8")
    schedule = default_schedule(network.recurrence)
    found = cosim(network, schedule, frames, tmp_path, RunSettings(), 5000)
    assert found.comparison.compared == 6 * 11 and found.comparison.mismatches == 0
    assert found.cycles_per_frame <= MOST_CYCLES and found.limited_by == "memory port"
    assert found.last_pixel_to_result <= MOST_LATENCY

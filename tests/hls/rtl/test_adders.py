"""Stages made of adders: equal to the reference, in the size that da4ml says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    check_schedule,
    default_schedule,
    shapes_of,
    vector_length,
)
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.random_networks import random_network
from tests.hls.rtl.simulation import assert_equal_to_reference

#: A fibre is one memory word; W_h reads its own in one turn as well.
WORDS = fdht_shape((2, 3, 8), (8, 2, 2), (2, 2, 2), 2, 2)


def with_adders(network: QuantizedNetwork) -> Schedule:
    """Adders in the first stages of both paths."""
    recurrence = network.recurrence
    schedule = default_schedule(recurrence)
    firsts = []
    for path in (recurrence.input_path, recurrence.hidden_path):
        shape = shapes_of(path)[0]
        firsts.append(StageSchedule(vector_length(shape), shape.outputs, weights="adders"))
    return Schedule((firsts[0], *schedule.input[1:]), (firsts[1], *schedule.hidden[1:]))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("seeds", [(None, None), (5, 6)])
def test_the_engine_equals_the_reference(seed: int, seeds: tuple[int | None, int | None]):
    network = random_network(seed, WORDS)
    schedule = with_adders(network)
    check_schedule(network.recurrence, schedule)
    frames = np.random.default_rng(seed).integers(0, 256, (3, network.inputs)).astype(np.uint8)
    assert_equal_to_reference(network, frames, schedule, seeds)


def test_adders_need_one_set_of_weights():
    network = random_network(1, WORDS)
    schedule = with_adders(network)
    last = replace(schedule.input[1], weights="adders")
    wrong = replace(schedule, input=(schedule.input[0], last, *schedule.input[2:]))
    message = (
        r"schedule\.input\.1\.weights = 'adders': needs one set of weights, and the stage has \d+; "
        "use constant or loadable"
    )
    with pytest.raises(ConfigError, match=message):
        check_schedule(network.recurrence, wrong)


def test_adders_need_a_whole_turn_in_a_beat():
    network = random_network(1, WORDS)
    schedule = with_adders(network)
    part = replace(schedule.input[0], vector=schedule.input[0].vector // 2)
    wrong = replace(schedule, input=(part, *schedule.input[1:]))
    with pytest.raises(ConfigError, match=r"input\.0\.weights = 'adders': needs a whole turn"):
        check_schedule(network.recurrence, wrong)

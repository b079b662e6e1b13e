# amaranth: UnusedElaboratable=no
"""The engine in RTL on frames of which only words that are not zero come."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings

from fdht_hls.schedule import Schedule, default_schedule
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.hls.heads import HEADS
from tests.hls.networks import CLASSIFIERS
from tests.hls.rtl.simulation import assert_equal_to_reference
from tests.hls.rtl.test_engine import random_schedule
from tests.models.format_cases import SHAPES
from tests.models.strategies import SEEDS, build_network, quantized_networks, random_frames

#: A shape of each format, LSTM and GRU.
USUAL = (
    *("ht-unbalanced-lstm-integrated", "ht-gru", "tt-lstm-integrated", "tr-gru-integrated"),
    *("bt-lstm", "tucker-lstm", "cp-lstm", "kcp-vectors-lstm", "kcp-factors-gru", "dense-gru"),
)


def sparse(schedule: Schedule) -> Schedule:
    """The same parallelism for sparse frames."""
    return dataclasses.replace(schedule, frames="sparse")


def frames_of(network: QuantizedNetwork, seed: int = 0) -> np.ndarray:
    """Frames of all kinds: empty, full, one word at either end, single values, runs, random."""
    generator = np.random.default_rng(seed)
    frames = random_frames(network, 9, seed)
    frames[frames == 0] = 1
    values = np.arange(network.inputs)
    kept = [
        np.zeros(network.inputs, bool),
        np.ones(network.inputs, bool),
        values < 8,
        values >= network.inputs - 1,
        generator.random(network.inputs) < 0.02,
        generator.random(network.inputs) < 0.3,
        (values >= network.inputs // 3) & (values < network.inputs // 2),
        np.zeros(network.inputs, bool),
        generator.random(network.inputs) < 0.1,
    ]
    return frames * np.array(kept)[generator.permutation(len(kept))]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_exported_classifiers_are_equal(name):
    network = CLASSIFIERS[name].network
    schedule = sparse(default_schedule(network.recurrence))
    assert_equal_to_reference(network, frames_of(network), schedule)


@pytest.mark.parametrize("label", USUAL)
def test_formats_are_equal(label):
    network = build_network(SHAPES[label])
    schedule = sparse(default_schedule(network.recurrence))
    assert_equal_to_reference(network, frames_of(network), schedule, (1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_heads_of_any_format_are_equal(name):
    network = HEADS[name]
    schedule = sparse(default_schedule(network.recurrence))
    assert_equal_to_reference(network, frames_of(network), schedule)


@pytest.mark.slow
@pytest.mark.parametrize("label", SHAPES)
def test_all_formats_are_equal_with_any_schedule(label):
    network = build_network(SHAPES[label], random_tables=True)
    for seed in range(3):
        schedule = sparse(random_schedule(network.recurrence, seed))
        assert_equal_to_reference(network, frames_of(network, seed), schedule, (seed, seed + 9))


@settings(max_examples=6)
@given(quantized_networks(max_modes=3), SEEDS)
def test_random_plans_and_schedules_are_equal(network, seed):
    schedule = sparse(random_schedule(network.recurrence, seed))
    assert_equal_to_reference(network, frames_of(network, seed), schedule, (seed, None))

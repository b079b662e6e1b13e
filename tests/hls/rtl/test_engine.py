# amaranth: UnusedElaboratable=no
"""The whole engine in RTL against the integer reference."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_hls.engine import lower, stage_designs
from fdht_hls.engine.pairs import why_no_pairs
from fdht_hls.rtl.engine import Engine
from fdht_hls.schedule import (
    MULTIPLIERS,
    PAIRS,
    Schedule,
    choices,
    default_schedule,
    shapes_of,
    vector_counts,
)
from fdht_hls.shapes import fibre_counts
from fdht_models.errors import ConfigError
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.reference import ReferenceModel
from tests.hls.heads import HEADS
from tests.hls.networks import CLASSIFIERS, streams_of
from tests.hls.rtl.simulation import assert_equal_to_reference, engine_logits
from tests.models.format_cases import SHAPES
from tests.models.strategies import SEEDS, build_network, quantized_networks, random_frames

#: Chains, bonds that pass by, terms of a sum, words without a mode, collected sums, no fibres.
USUAL = (
    "ht-unbalanced-lstm-integrated",
    "tr-gru-integrated",
    "bt-lstm",
    "tucker-lstm",
    "dense-gru",
    *(f"ht-{kind}-integrated" for kind in KINDS if kind not in ("lstm", "gru")),
)


def random_schedule(recurrence, seed: int) -> Schedule:
    """Any parallelism of each stage, any fibres at once, any multipliers."""
    generator = np.random.default_rng(seed)

    def draw(design):
        every, counts = choices(design.shape), vector_counts(design.shape)
        own = dataclasses.replace(
            every[generator.integers(len(every))],
            multipliers=MULTIPLIERS[generator.integers(len(MULTIPLIERS))],
            vectors=counts[generator.integers(len(counts))],
        )
        if own.multipliers == PAIRS and why_no_pairs(design, own) is not None:
            return dataclasses.replace(own, multipliers="dsp")
        return own

    def stages(label, path):
        counts = fibre_counts(path)
        fibres = counts[generator.integers(len(counts))]
        return tuple(draw(design) for design in stage_designs(recurrence, label, fibres))

    return Schedule(
        stages("input", recurrence.input_path), stages("hidden", recurrence.hidden_path)
    )


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_exported_classifiers_are_equal(name):
    network = CLASSIFIERS[name].network
    frames = streams_of(network, 1, 6)[0]
    wanted = ReferenceModel(network).run(frames)
    assert len(np.unique(wanted)) >= len(wanted), "the comparison says little"
    assert_equal_to_reference(network, frames)


@pytest.mark.parametrize("name", HEADS)
def test_heads_of_any_format_are_equal(name):
    network = HEADS[name]
    assert_equal_to_reference(network, random_frames(network, 3))


@pytest.mark.parametrize("seeds", [(1, None), (None, 2), (3, 4)])
def test_gaps_change_nothing(seeds):
    network = build_network()
    assert_equal_to_reference(network, random_frames(network, 5), seeds=seeds)


@pytest.mark.parametrize("label", USUAL)
def test_formats_are_equal(label):
    network = build_network(SHAPES[label])
    assert_equal_to_reference(network, random_frames(network, 3))


@pytest.mark.parametrize("label", ["ht-lstm-integrated", "tr-gru-integrated", "bt-lstm"])
def test_several_fibres_at_once_on_both_paths_are_equal(label):
    network = build_network(SHAPES[label])
    paths = (network.recurrence.input_path, network.recurrence.hidden_path)
    most = [fibre_counts(path)[-1] for path in paths]
    assert most[0] > 1
    schedule = Schedule(
        *(
            tuple(choices(shape)[-1] for shape in shapes_of(path, fibres))
            for path, fibres in zip(paths, most, strict=True)
        )
    )
    assert_equal_to_reference(network, random_frames(network, 3), schedule, (1, None))


@pytest.mark.slow
@pytest.mark.parametrize("label", SHAPES)
def test_all_formats_are_equal_with_any_schedule(label):
    network = build_network(SHAPES[label], random_tables=True)
    for seed in range(3):
        schedule = random_schedule(network.recurrence, seed)
        assert_equal_to_reference(network, random_frames(network, 4), schedule, (seed, seed + 9))


@settings(max_examples=4)
@given(quantized_networks(max_modes=3), SEEDS)
def test_random_plans_and_schedules_are_equal(network, seed):
    schedule = random_schedule(network.recurrence, seed)
    assert_equal_to_reference(network, random_frames(network, 3, seed), schedule, (seed, None))


@pytest.mark.slow
@settings(max_examples=150)
@given(quantized_networks(), SEEDS, st.booleans())
def test_many_random_plans_and_schedules_are_equal(network, seed, pauses):
    schedule = random_schedule(network.recurrence, seed)
    seeds = (seed, seed + 1) if pauses else (None, None)
    assert_equal_to_reference(network, random_frames(network, 4, seed), schedule, seeds)


@pytest.mark.parametrize("label", ["ht-lstm", "tt-lstm-integrated", "tr-gru"])
def test_a_frame_may_start_from_a_zero_state(label):
    network = build_network(SHAPES[label])
    frames = random_frames(network, 6)
    resets = (False, False, True, True, False, True)
    model, wanted = ReferenceModel(network), []
    for frame, reset in zip(frames, resets, strict=True):
        if reset:
            model.reset()
        wanted.append(model.run(frame[None])[0])
    carried = ReferenceModel(network).run(frames)
    assert not np.array_equal(wanted, carried), "the state is without effect"

    async def reset_state(engine, ctx):
        words = 0
        while True:
            frame = min(words // engine.plan.port.frame_words, len(frames) - 1)
            # Sampled with the first word of a frame only.
            first = words % engine.plan.port.frame_words == 0
            ctx.set(engine.reset_state, resets[frame] if first else not resets[frame])
            _, _, valid, ready = await ctx.tick().sample(engine.words.valid, engine.words.ready)
            words += valid & ready

    found = engine_logits(network, frames, seeds=(5, 6), others=[reset_state])
    np.testing.assert_array_equal(found, wanted)


def test_stages_are_named_as_the_reference_names_them():
    network = build_network()
    engine = Engine(lower(network))
    assert engine.names == (
        *("input.C3", "input.C2", "input.C1"),
        *("hidden.C3", "hidden.C2", "hidden.C1"),
        *("cell", "head"),
    )
    assert len(engine.busy) == len(engine.starved) == len(engine.blocked) == len(engine.names)


def test_a_schedule_of_another_network_is_refused():
    network, other = build_network(), build_network(SHAPES["dense-lstm"])
    with pytest.raises(ConfigError, match=r"schedule\.input"):
        lower(network, default_schedule(other.recurrence))

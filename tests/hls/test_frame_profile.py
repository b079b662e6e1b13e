"""What sparse frames ask of a core, counted by plain loops over their words and values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fdht_hls.engine import design_engine
from fdht_hls.estimate.sparse_timing import block_values, profile_of
from fdht_hls.frame_profile import BlockCounts, FrameProfile, Spread, load_profile, measure_profile
from fdht_models.errors import ConfigError, ShapeError
from fdht_models.tensor.sparse_frames import SparseFormat, pack_sparse
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network


def frames_of(inputs: int, seed: int = 0) -> np.ndarray:
    """Frames of all kinds: empty, full, one value at either end, and some of each density."""
    generator = np.random.default_rng(seed)
    frames = generator.integers(1, 256, (40, inputs)).astype(np.uint8)
    density = generator.choice((0.001, 0.02, 0.2, 0.9), len(frames))
    frames[generator.random(frames.shape) > density[:, None]] = 0
    frames[0], frames[1], frames[2:4] = 0, 7, 0
    frames[2, 0] = frames[3, -1] = 1
    return frames


def read_word_by_word(form: SparseFormat, frame: np.ndarray, values: int) -> tuple[int, int, int]:
    """(words, blocks that hold something, words read when the first is known to be complete)."""
    padded = np.zeros(form.frame_bytes, np.uint8)
    padded[: len(frame)] = frame
    rows = padded.reshape(-1, form.word_bytes)
    used = [bool(row.any()) for row in rows]
    dense = form.blocks + sum(used) >= form.frame_words
    held = [
        at for at in range(len(frame) // values) if frame[at * values : (at + 1) * values].any()
    ]
    read, complete = 1, 0
    for number, holds in enumerate(used):
        if not dense and number % form.block_words == 0:
            read += 1
        if dense or holds:
            read += 1
        behind = bool(held) and number * form.word_bytes >= (held[0] + 1) * values
        if holds and behind and not complete:
            complete = read
    return read, max(1, len(held)), complete or read


@pytest.mark.parametrize(("inputs", "word_bytes"), [(600, 8), (1184, 16), (1184, 32), (96, 8)])
def test_blocks_and_words_are_those_of_a_plain_loop(inputs, word_bytes):
    form, frames = SparseFormat(inputs, word_bytes), frames_of(inputs)
    sizes = [size for size in (1, 2, 4, 12, 24, 37, 100, inputs) if inputs % size == 0]
    found = measure_profile(form, frames, sizes)
    for size in sizes:
        wanted = [read_word_by_word(form, frame, size) for frame in frames]
        words, held, first = (list(column) for column in zip(*wanted, strict=True))
        np.testing.assert_array_equal(found.port, words)
        np.testing.assert_array_equal(found.held(size), held)
        np.testing.assert_array_equal(found.first(size), first)


def test_words_are_those_that_are_packed():
    form, frames = SparseFormat(600), frames_of(600)
    target = np.zeros(form.room(len(frames)) // 8, np.uint64).view(np.uint8)
    ends = pack_sparse(form, frames, target)
    found = measure_profile(form, frames, [24])
    np.testing.assert_array_equal(found.port, np.diff(ends, prepend=0))


def test_many_frames_are_counted_as_few_are():
    form, frames = SparseFormat(96), np.tile(frames_of(96), (60, 1))
    some, every = measure_profile(form, frames[:40], [12]), measure_profile(form, frames, [12])
    np.testing.assert_array_equal(every.port, np.tile(some.port, 60))
    np.testing.assert_array_equal(every.first(12), np.tile(some.first(12), 60))


@pytest.mark.parametrize("label", ["ht-unbalanced-lstm-integrated", "tr-gru-integrated", "bt-lstm"])
@pytest.mark.parametrize("fibres", [1, 2])
def test_blocks_of_a_network_are_its_coordinates(label, fibres):
    """Of each stage the coordinates that hold something, by a loop over an array of all modes."""
    network = build_network(SHAPES[label])
    design = design_engine(network, 8, (fibres, 1))
    frames = frames_of(network.inputs)
    profile = profile_of(design, frames)
    coming = [stage.shape.mode for stage in design.input if not stage.shape.fibre]
    for at, values in enumerate(block_values(design)):
        left = coming[max(0, at - bool(design.input[0].shape.fibre)) :]
        rows = frames.reshape(len(frames), *reversed(left), -1)
        wanted = [max(1, len({tuple(place[:-1]) for place in np.argwhere(row)})) for row in rows]
        np.testing.assert_array_equal(profile.held(values), wanted)


def test_a_profile_is_read_as_it_was_written(tmp_path):
    found = measure_profile(SparseFormat(600), frames_of(600), [24, 120])
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(found.to_json()))
    assert load_profile(path) == found


def test_a_spread_is_that_of_its_values():
    assert Spread.of(np.arange(101)) == Spread(50.0, 50.0, 95.0, 100)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda: measure_profile(SparseFormat(96), frames_of(96), [7]), "must divide 96"),
        (lambda: measure_profile(SparseFormat(96), frames_of(200), [4]), "is more than 96"),
    ],
)
def test_frames_that_do_not_fit_are_refused(how, message):
    with pytest.raises(ShapeError, match=message):
        how()


def test_profiles_that_contradict_themselves_are_refused():
    with pytest.raises(ConfigError, match="has no frames"):
        measure_profile(SparseFormat(96), frames_of(96)[:0], [4])
    with pytest.raises(ConfigError, match="is not of 2 frames"):
        FrameProfile(8, 12, (3, 4), (BlockCounts(4, (1,), (2, 3)),), "sparse", None)
    with pytest.raises(ConfigError, match="profile = 0: must be at least 1"):
        FrameProfile(8, 12, (3, 4), (BlockCounts(4, (1, 0), (2, 3)),), "sparse", None)
    found = measure_profile(SparseFormat(96), frames_of(96), [4])
    with pytest.raises(ConfigError, match=r"of another network or port.*--clips"):
        found.held(24)

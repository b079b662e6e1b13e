"""The gearbox: memory words into fibres of any length, at full pace."""

from __future__ import annotations

import math

import numpy as np
import pytest
from amaranth.hdl import unsigned

from fdht_hls.rtl.words import Gearbox
from tests.hls.rtl.simulation import run_stream, values_of, words_of

FRAMES = 3


def fibres_of(fibre, fibres, word_bytes, seeds=(None, None)):
    """(what was sent, what came back, clocks in which fibres came)."""
    gearbox = Gearbox(fibre, fibres, unsigned(8), word_bytes)
    size = fibre * fibres
    sent = np.random.default_rng(fibre).integers(0, 256, (FRAMES, size))
    # What pads a frame must not be taken for anything.
    padded = np.full((FRAMES, -(-size // word_bytes) * word_bytes), 0xA5)
    padded[:, :size] = sent
    taken = run_stream(gearbox, words_of(padded, 8, word_bytes), FRAMES * fibres, seeds)
    return sent.reshape(-1, fibre), values_of(taken.words, gearbox.result.payload.shape()), taken


@pytest.mark.parametrize("seeds", [(None, None), (1, None), (None, 2), (3, 4)])
@pytest.mark.parametrize(("fibre", "fibres"), [(24, 5), (18, 7), (8, 4), (5, 12), (1, 9), (3, 3)])
def test_fibres_are_those_of_the_frames(fibre, fibres, seeds):
    sent, found, _ = fibres_of(fibre, fibres, 8, seeds)
    np.testing.assert_array_equal(found, sent)


@pytest.mark.parametrize("word_bytes", [16, 32])
@pytest.mark.parametrize("together", [2, 3])
def test_several_fibres_side_by_side_at_the_pace_of_a_wide_port(word_bytes, together):
    """As one long fibre: fibres of 24 bytes at more than one a clock."""
    sent, found, taken = fibres_of(24 * together, 4, word_bytes)
    np.testing.assert_array_equal(found, sent)
    frames = np.diff(taken.clocks[3::4])
    np.testing.assert_array_equal(frames, -(-24 * together * 4 // word_bytes))


@pytest.mark.parametrize("word_bytes", [8, 16])
@pytest.mark.parametrize(("fibre", "fibres"), [(24, 6), (18, 8), (20, 6), (9, 16)])
def test_a_word_is_taken_in_every_clock(fibre, fibres, word_bytes):
    assert fibre >= word_bytes or math.gcd(fibre, word_bytes) == 1
    _, _, taken = fibres_of(fibre, fibres, word_bytes)
    words = -(-fibre * fibres // word_bytes)
    ideal = max(words, fibres)
    frames = np.diff(taken.clocks[fibres - 1 :: fibres])
    np.testing.assert_array_equal(frames, ideal)

# amaranth: UnusedElaboratable=no
"""motion_energy on the chip against the function that the host and training call."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_hls.estimate.rtl import feature_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.rtl.core import verilog_of
from fdht_hls.rtl.motion import MotionEnergy
from fdht_hls.rtl.yosys_count import count_resources
from fdht_models.features import motion_energy
from tests.hls.rtl.simulation import run_stream, words_of


def clip_of(frames: int, size: int, seed: int) -> np.ndarray:
    """Frames in which most stays as it was, some moves a little, and some wholly."""
    generator = np.random.default_rng(seed)
    found = [generator.integers(0, 256, size)]
    for _ in range(frames - 1):
        drawn = generator.integers(0, 256, size)
        little = np.clip(found[-1] + generator.integers(-9, 10, size), 0, 255)
        kind = np.repeat(generator.choice(3, -(-size // 8), p=(0.6, 0.2, 0.2)), 8)[:size]
        found.append(np.select([kind == 0, kind == 1], [found[-1], little], drawn))
    found[2] = found[1]  # nothing moves
    found[3], found[4] = np.zeros(size, np.int64), np.full(size, 255)
    return np.array(found, np.uint8)


@pytest.mark.parametrize("dead_zone", [0, 6, 254])
@pytest.mark.parametrize("word_bytes", [8, 16])
@pytest.mark.parametrize("seeds", [(None, None), (1, 2)])
def test_it_is_the_hosts_feature(dead_zone, word_bytes, seeds):
    words, begins = 6, (0, 5)
    clip = clip_of(9, words * word_bytes, dead_zone)
    part = MotionEnergy(words, word_bytes, dead_zone)
    shape = (1, words * word_bytes, 1)
    wanted = []
    for number in range(len(clip)):
        if number not in begins:
            one, other = clip[number - 1].reshape(shape), clip[number].reshape(shape)
            frame = motion_energy(one, other, dead_zone).reshape(words, word_bytes)
            for place, values in enumerate(frame):
                if values.any() or place == words - 1:
                    last = place == words - 1
                    wanted.append((values.tolist(), place, values.any(), last))

    async def begin(ctx):
        count = 0
        while True:
            ctx.set(part.begins, count % words == 0 and count // words in begins)
            _, _, valid, ready = await ctx.tick().sample(part.words.valid, part.words.ready)
            count += valid & ready

    given = words_of(clip, 8, word_bytes)
    taken = run_stream(part, given, len(wanted), seeds, "items", [begin])
    layout = part.items.payload.shape()

    def read(word: int) -> tuple:
        fields = {name: word >> field.offset & ((1 << field.width) - 1) for name, field in layout}
        values = [(fields["word"] >> (8 * at)) & 0xFF for at in range(word_bytes)]
        return values, fields["number"], bool(fields["present"]), bool(fields["last"])

    found = [read(word) for word in taken.words]
    assert [one if one[2] else (one[0], *one[1:]) for one in found] == wanted


def test_a_word_goes_in_every_clock():
    words = 50
    clip = np.random.default_rng(3).integers(0, 256, (4, words * 8))
    part = MotionEnergy(words, 8, 0)
    taken = run_stream(part, words_of(clip, 8, 8), 4 * words, result="items")
    assert taken.clocks[-1] - taken.clocks[0] == 4 * words - 1


#: Words of a frame, bytes of a word, and what yosys counts: LUT, and block RAM of 36 Kbit.
COUNTED = {
    "LUTs hold it": (16, 8, 274, 0),
    "a block": (100, 8, 244, 1),
    "two blocks": (600, 8, 241, 2),
    "blocks below each other": (4500, 8, 457, 9),
    "motion": (7200, 8, 253, 16),
    "motion, 128 bits": (3600, 16, 459, 15),
    "motion, 256 bits": (1800, 32, 860, 14.5),
}


@pytest.mark.parametrize("name", COUNTED)
def test_the_estimate_is_what_yosys_counted(name):
    words, word_bytes, lut, bram36 = COUNTED[name]
    found = feature_parts(words, word_bytes, RtlModel())
    assert found.bram36 == bram36
    assert found.lut == pytest.approx(lut, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["LUTs hold it", "two blocks", "motion"])
def test_yosys_counts_so_much(name):
    words, word_bytes, lut, bram36 = COUNTED[name]
    found = count_resources(verilog_of(MotionEnergy(words, word_bytes, dead_zone=6)))
    assert (found.lut + found.lutram, found.bram36) == (lut, bram36)

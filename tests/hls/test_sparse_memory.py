"""fdht_sparse_memory.h: fibres with their places out of sparse frames, and what is damaged."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from fdht_hls.csimulation import Build
from fdht_models.tensor.sparse_frames import FrameFault, FrameKind, SparseFormat, pack_sparse
from tests.hls.memory_library import compiled

Words = npt.NDArray[np.uint64]
#: (bytes of a fibre, modes, the fastest first): fibres shorter than a word, of words, longer, with
#: every kind of remainder; frames of one block, of whole blocks, and of a few words more.
SHAPES = [
    *((1, (5, 3)), (3, (4, 5)), (5, (3, 7)), (7, (1, 9)), (8, (64, 1)), (8, (5, 13)), (8, (8, 16))),
    *((24, (6, 7)), (12, (11, 4)), (20, (3, 50)), (23, (4, 3)), (16, (1, 1)), (24, (50, 10))),
]
COUNT = 9

_SOURCE = """
#include "fdht_sparse_memory.h"
#include "nnet_utils/nnet_types.h"
template <unsigned LENGTH, unsigned FIRST, unsigned SECOND>
int run(const fdht::word_t *memory, unsigned call_words, unsigned frames, int32_t *out,
        uint32_t *said) {{
    static const unsigned fibres_in_frame = FIRST * SECOND;
    static const unsigned frame_words = (fibres_in_frame * LENGTH + 7) / 8;
    static const unsigned unit_words = UNIT(LENGTH);
    static const unsigned units = (frame_words + unit_words - 1) / unit_words;
    typedef typename fdht::carried<nnet::array<BYTE, LENGTH>>::type fibre_t;
    ap_uint<32> faults = 0, whole = 0;
    unsigned found = 0;
    for (unsigned frame = 0; frame < frames; frame++) {{
        hls::stream<fdht::frame_head> heads("heads");
        hls::stream<fdht::word_t> words("words");
        hls::stream<fdht::frame_item<frame_words>> items("items");
        hls::stream<fdht::frame_unit<unit_words, units>> all_units("units");
        hls::stream<fdht::faults_t> verdicts("verdicts");
        hls::stream<bool> kept("kept");
        hls::stream<fibre_t> fibres("fibres");
        hls::stream<fdht::place<FIRST, SECOND>> places("places");
        fdht::read_sparse_words<frame_words>(memory, frame, frames, call_words, heads, words);
        fdht::unpack_frame<frame_words>(heads, words, frame, items, verdicts);
        fdht::judge_frame(verdicts, frame, kept, faults, whole);
        fdht::collect_units<frame_words>(items, all_units);
        fdht::place_fibres<fibres_in_frame>(all_units, fibres, places);
        if (!heads.empty() || !words.empty() || !items.empty() || !all_units.empty()) return -1;
        if (!verdicts.empty() || fibres.size() != places.size() || kept.size() != 1) return -2;
        const bool keeps = kept.read();
        if (keeps != (unsigned(whole) == frame + 1)) return -3;
        for (bool last = false; !last; found++) {{
            if (fibres.empty()) return -4;
            const fibre_t fibre = fibres.read();
            const fdht::place<FIRST, SECOND> place = places.read();
            *out++ = frame;
            for (unsigned mode = 0; mode < 2; mode++) *out++ = unsigned(place.at[mode]);
            for (unsigned mode = 0; mode < 2; mode++) *out++ = unsigned(place.ends[mode]);
            for (unsigned i = 0; i < LENGTH; i++) *out++ = (int)fdht::code(fibre[i]);
            last = unsigned(place.ends[1]);
        }}
        if (!fibres.empty()) return -5;
    }}
    said[0] = unsigned(faults);
    said[1] = unsigned(whole);
    return found;
}}
extern "C" int read(int shape, const uint64_t *in, unsigned call_words, unsigned frames,
                    int32_t *out, uint32_t *said) {{
    fdht::word_t *memory = new fdht::word_t[call_words];
    for (unsigned i = 0; i < call_words; i++) memory[i] = in[i];
    int found = -9;
    switch (shape) {{ {cases} }}
    delete[] memory;
    return found;
}}
"""
#: Words of a unit: the least common multiple of a fibre and a word.
_UNIT = """
#define UNIT(L) ((L) % 8 == 0 ? (L) / 8 : (L) % 4 == 0 ? (L) / 4 : (L) % 2 == 0 ? (L) / 2 : (L))
"""


class Found(NamedTuple):
    """A row a fibre (frame, coordinates, ends, values); faults; frames that count."""

    fibres: npt.NDArray[np.int32]
    faults: int
    whole: int


Reader = Callable[[int, Words, int], Found]


@pytest.fixture(scope="module")
def reader(ap_types: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Build], Reader]:
    """Compiles the readers of all shapes; bytes are signed in the exact build."""
    directory = tmp_path_factory.mktemp("sparse")

    @cache
    def build(kind: Build) -> Reader:
        cases = " ".join(
            f"case {at}: found = run<{length}, {modes[0]}, {modes[1]}>"
            "(memory, call_words, frames, out, said); break;"
            for at, (length, modes) in enumerate(SHAPES)
        )
        byte = "ap_fixed<8,8>" if kind == "exact" else "ap_ufixed<8,8>"
        source = _UNIT + _SOURCE.format(cases=cases)
        library = compiled(directory, kind, source, kind, byte, ap_types, "-O1")

        def read(shape: int, words: Words, frames: int) -> Found:
            length, (first, second) = SHAPES[shape]
            out = np.zeros((frames * first * second, 5 + length), np.int32)
            said = np.zeros(2, np.uint32)
            memory = words.copy()
            found = library.read(
                shape,
                ctypes.c_void_p(memory.ctypes.data),
                len(words),
                frames,
                ctypes.c_void_p(out.ctypes.data),
                ctypes.c_void_p(said.ctypes.data),
            )
            assert found >= frames, found
            return Found(out[:found], int(said[0]), int(said[1]))

        return read

    return build


def form_of(shape: int) -> SparseFormat:
    length, modes = SHAPES[shape]
    return SparseFormat(-(-length * modes[0] * modes[1] // 8) * 8)


def frames_of(shape: int, seed: int) -> npt.NDArray[np.uint8]:
    """Bytes [COUNT, frame bytes]: none, all, the first, the last, and random ones."""
    size, generator = form_of(shape).frame_bytes, np.random.default_rng([shape, seed])
    frames = generator.integers(1, 256, (COUNT, size), np.uint8)
    frames *= (generator.random((COUNT, size)) < generator.random((COUNT, 1)) ** 3).astype(np.uint8)
    length, modes = SHAPES[shape]
    end = length * modes[0] * modes[1]
    frames[0] = 0
    frames[1] = 255
    frames[2] = 0
    frames[2, 0] = 7
    frames[3] = 0
    frames[3, end - 1] = 9
    # Padding behind a frame is noise too: none of it may show, nor be taken for a fibre.
    frames[4] = 0
    frames[:, end:] = 0xA5
    return frames


def pack(shape: int, frames: npt.NDArray[np.uint8]) -> tuple[Words, npt.NDArray[np.int64]]:
    """(the words of a call, words from the start to each frame's end)."""
    form = form_of(shape)
    target = np.zeros(form.room(len(frames)), np.uint8)
    ends = pack_sparse(form, frames, target)
    return target.view(np.uint64)[: ends[-1]].copy(), ends


def expected(shape: int, frames: npt.NDArray[np.uint8], signed: bool) -> npt.NDArray[np.int64]:
    """Rows as in `Found`, by the definition of a place."""
    length, (first, second) = SHAPES[shape]
    values = frames[:, : length * first * second].reshape(-1, second, first, length)
    values = values.view(np.int8) if signed else values
    rows = []
    for number, frame in enumerate(values):
        some = [(int(b), int(a)) for b, a in np.argwhere(frame.any(axis=2))] or [(0, 0)]
        for at, (b, a) in enumerate(some):
            behind = some[at + 1 :]
            ends = [not any(other == b for other, _ in behind), not behind]
            rows.append([number, a, b, *ends, *frame[b, a]])
    return np.array(rows, np.int64)


@pytest.mark.parametrize("build", ["native", "exact"])
def test_fibres_come_with_their_places(reader, build):
    for shape in range(len(SHAPES)):
        frames = frames_of(shape, 1)
        words, _ = pack(shape, frames)
        found = reader(build)(shape, words, COUNT)
        assert (found.faults, found.whole) == (0, COUNT), SHAPES[shape]
        wanted = expected(shape, frames, build == "exact")
        np.testing.assert_array_equal(found.fibres, wanted, str(SHAPES[shape]))


def as_sparse(form: SparseFormat, frame: npt.NDArray[np.uint8]) -> Words:
    """A sparse frame of all its words: longer than a dense one, and no less right."""
    words, body = frame.view(np.uint64), []
    for start in range(0, form.frame_words, form.block_words):
        block = words[start : start + form.block_words]
        body += [np.uint64((1 << len(block)) - 1), *block]
    return np.array([len(body) | FrameKind.SPARSE << 32, *body], np.uint64)


def test_a_sparse_frame_of_all_words_is_read(reader):
    for shape in range(len(SHAPES)):
        frames = frames_of(shape, 2)
        parts = [as_sparse(form_of(shape), frame) for frame in frames]
        found = reader("native")(shape, np.concatenate(parts), COUNT)
        assert (found.faults, found.whole) == (0, COUNT)
        np.testing.assert_array_equal(found.fibres, expected(shape, frames, False))


# Damage -------------------------------------------------------------------------------------------


def judged(form: SparseFormat, words: Words, count: int) -> tuple[FrameFault, int]:
    """(faults, frames that count) of a call, by the definition of the format."""
    read = [int(word) for word in words]
    position = 0
    for frame in range(count):
        if position == len(read):
            return FrameFault.SHORT, frame
        length, kind = read[position] & 0xFFFFFFFF, read[position] >> 32
        position += 1
        sparse = (
            kind == FrameKind.SPARSE and form.blocks <= length <= form.blocks + form.frame_words
        )
        if not sparse and (kind, length) != (FrameKind.DENSE, form.frame_words):
            return FrameFault.HEADER, frame
        if length > len(read) - position:
            return FrameFault.SHORT, frame
        if sparse and (fault := body_fault(form, read[position : position + length])):
            return fault, frame
        position += length
    return FrameFault.LONG if position != len(read) else FrameFault(0), count


def body_fault(form: SparseFormat, body: list[int]) -> FrameFault:
    """What is wrong with bitmaps and words."""
    at = 0
    for start in range(0, form.frame_words, form.block_words):
        if at >= len(body):
            return FrameFault.COUNT
        if body[at] >> min(form.block_words, form.frame_words - start):
            return FrameFault.BEHIND
        at += 1 + body[at].bit_count()
    return FrameFault(0) if at == len(body) else FrameFault.COUNT


def check(reader: Reader, shape: int, words: Words, count: int = COUNT) -> tuple[FrameFault, int]:
    """Reads a damaged call: what is said is what is wrong, and frames behind it are empty."""
    found = reader(shape, words, count)
    faults, whole = judged(form_of(shape), words, count)
    assert (FrameFault(found.faults), found.whole) == (faults, whole), SHAPES[shape]
    for frame in range(whole + 1, count):
        rows = found.fibres[found.fibres[:, 0] == frame]
        assert len(rows) == 1 and not rows[0, 1:3].any() and not rows[0, 5:].any()
        assert rows[0, 3:5].all(), "a frame that cannot be read is one fibre of zeros"
    return faults, whole


def test_each_fault_is_told(reader):
    """In frame 5 of 9, of a frame of two blocks whose second has a word."""
    shape = SHAPES.index((8, (5, 13)))
    frames = frames_of(shape, 3)
    frames[5] = 0
    frames[5, 8], frames[5, -8] = 1, 1
    words, ends = pack(shape, frames)
    head, (size, whole) = int(ends[4]), (int(ends[5] - ends[4]), len(words))
    assert size == 5 and words[head + 1] == 2 and words[head + 3] == 1
    native = reader("native")

    def changed(at: int, value: int) -> tuple[FrameFault, int]:
        copy = words.copy()
        copy[at] = value
        return check(native, shape, copy)

    sparse, dense = FrameKind.SPARSE << 32, FrameKind.DENSE << 32
    for header in (0, 4, 3 << 32 | 4, sparse | 1, sparse | 68, dense | 4, 1 << 63 | sparse | 4):
        assert changed(head, header) == (FrameFault.HEADER, 5)
    assert changed(head, sparse | 3) == (FrameFault.COUNT, 5)
    assert changed(head, sparse | 5) == (FrameFault.COUNT, 5)
    assert changed(head + 1, 0) == (FrameFault.COUNT, 5)
    assert changed(head + 1, 6) == (FrameFault.COUNT, 5)
    assert changed(head + 3, 2) == (FrameFault.BEHIND, 5)
    assert changed(head + 3, 3) == (FrameFault.BEHIND, 5)
    for kept, frame in ((head, 5), (head + 1, 5), (head + 4, 5), (whole - 1, 8), (0, 0)):
        assert check(native, shape, words[:kept]) == (FrameFault.SHORT, frame)
    longer = np.concatenate([words, [np.uint64(0)]])
    assert check(native, shape, longer) == (FrameFault.LONG, COUNT)
    assert check(native, shape, words, COUNT - 1) == (FrameFault.LONG, COUNT - 1)
    assert check(native, shape, words, COUNT + 1) == (FrameFault.SHORT, COUNT)
    # A call that is whole is read after all of these.
    assert check(native, shape, words) == (FrameFault(0), COUNT)


@pytest.mark.parametrize("build", ["native", "exact"])
def test_random_damage_is_told(reader, build):
    """Words that are replaced, bits that are turned, words that are missing, twice or too many."""
    generator, seen = np.random.default_rng(11), set()
    for number in range(600 if build == "native" else 100):
        shape = number % len(SHAPES)
        words, ends = pack(shape, frames_of(shape, number))
        headers = np.concatenate([[0], ends[:-1]])
        for _ in range(int(generator.integers(1, 3))):
            at = int(generator.integers(len(words)))
            at = int(generator.choice(headers)) + int(generator.integers(2)) if number % 2 else at
            at %= len(words)
            match generator.integers(5):
                case 0:
                    words[at] ^= np.uint64(1 << int(generator.integers(34)))
                case 1:
                    words[at] = np.uint64(generator.integers(1 << 63))
                case 2:
                    words = np.delete(words, at) if len(words) > 1 else words
                case 3:
                    words = np.insert(words, at, words[at])
                case _:
                    words = np.append(words, words[at])
        seen |= {check(reader(build), shape, words)[0]}
    assert seen >= {*FrameFault}

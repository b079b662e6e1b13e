"""The reader of sparse frames in Amaranth's simulator, against a reader that is written here."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_models.tensor.sparse_frames import FrameFault, SparseFormat
from tests.hls.rtl.sparse_bench import Bench, Call, pack, read_frames, words_of

#: (bytes of a word, words of a frame): less than a block, whole blocks, and a few words more.
FORMS = [
    SparseFormat(bytes_ * words, bytes_)
    for bytes_, words in (
        (8, 1),
        (8, 5),
        (8, 64),
        (8, 65),
        (8, 128),
        (8, 150),
        (16, 128),
        (16, 131),
        (32, 7),
        (32, 259),
    )
]
SMALL, SEVERAL = SparseFormat(8 * 20), SparseFormat(8 * 150)


def patterns(form: SparseFormat, seed: int = 0) -> np.ndarray:
    """Frames of every kind: [n, frame bytes]."""
    generator = np.random.default_rng([seed, form.frame_bytes, form.word_bytes])
    noise = generator.integers(1, 256, (12, form.frame_words, form.word_bytes)).astype(np.uint8)
    shares = (0.02, 0.1, 0.3, 0.6)
    kept = np.zeros((12, form.frame_words), bool)
    kept[1] = True  # 0 stays empty
    kept[2, 0] = kept[3, -1] = True
    kept[4, [0, -1]] = True
    kept[5, form.frame_words // 2 :] = True
    kept[6, : min(form.block_words, form.frame_words)] = True
    kept[7, form.block_words - 1 :: form.block_words] = True
    for at, share in enumerate(shares):
        kept[8 + at] = generator.random(form.frame_words) < share
    frames = np.where(kept[:, :, None], noise, np.uint8(0))
    # A word with a single byte that is not zero counts.
    frames[10, :, 1:] = 0
    return np.ascontiguousarray(frames.reshape(12, form.frame_bytes))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.word_bytes}x{form.frame_words}")
@pytest.mark.parametrize(("seed", "latency"), [(None, 0), (2, 30)])
def test_frames_of_every_kind(form: SparseFormat, seed: int | None, latency: int):
    frames = patterns(form)
    words = pack(form, frames)
    (seen,) = Bench(form, seed, latency).run(Call(words, len(frames)))
    wanted = read_frames(form, words, len(frames))
    assert wanted.failed is None
    assert seen.items == wanted.frames
    assert (seen.faults, seen.failed, seen.entered) == (0, None, len(frames))
    assert seen.asked == list(range(len(words)))
    assert seen.first == [at == 0 for at, items in enumerate(seen.items) for _ in items]
    # What was read is what was packed.
    for items, frame in zip(seen.items, frames, strict=True):
        whole = np.array(words_of(frame, form), object)
        found = np.zeros(form.frame_words, object)
        for number, word in filter(None, items):
            found[number] = word
        np.testing.assert_array_equal(found, whole)


def test_a_word_of_memory_a_clock():
    """Headers and bitmaps take a clock each, and so do words; none is lost between frames."""
    frames = np.concatenate([patterns(SEVERAL, seed) for seed in range(3)])
    words = pack(SEVERAL, frames)
    (seen,) = Bench(SEVERAL).run(Call(words, len(frames)))
    # Not the first header and bitmap, in front of the first item.
    items = read_frames(SEVERAL, words, 1).frames[0]
    assert items == [None]
    assert seen.clocks == len(words) - (1 + SEVERAL.blocks) + 1


def test_an_empty_call():
    seen = Bench(SMALL).run(Call([], 0), Call(pack(SMALL, patterns(SMALL)[:2]), 2))
    assert [(one.items == [], one.faults, one.failed) for one in seen] == [
        (True, 0, None),
        (False, 0, None),
    ]


def header(words: int, kind: int) -> int:
    return words | kind << 32


#: Words behind a good frame, and what is wrong with them; a frame has 20 words, or 150 in 3 blocks.
DAMAGED = {
    "no kind": (SMALL, [0, 1, 5], FrameFault.HEADER),
    "another kind": (SMALL, [header(2, 3), 1, 5], FrameFault.HEADER),
    "bits above the kind": (SMALL, [header(2, 0x101), 1, 5], FrameFault.HEADER),
    "dense with too few": (SMALL, [header(19, 2), *range(19)], FrameFault.HEADER),
    "dense with too many": (SMALL, [header(21, 2), *range(21)], FrameFault.HEADER),
    "sparse without a bitmap": (SMALL, [header(0, 1)], FrameFault.HEADER),
    "sparse with too many": (SMALL, [header(22, 1), *range(22)], FrameFault.HEADER),
    "a huge count": (SMALL, [header(0x8000_0002, 1), 1, 5], FrameFault.HEADER),
    "fewer bitmaps than blocks": (SEVERAL, [header(2, 1), 0, 0], FrameFault.HEADER),
    "fewer words than bits": (SMALL, [header(2, 1), 3, 5], FrameFault.COUNT),
    "more words than bits": (SMALL, [header(3, 1), 1, 5, 6], FrameFault.COUNT),
    "an empty bitmap and a word": (SMALL, [header(2, 1), 0, 5], FrameFault.COUNT),
    "a bitmap and no word": (SMALL, [header(1, 1), 1], FrameFault.COUNT),
    "no room for the last bitmap": (SEVERAL, [header(3, 1), 1, 5, 0], FrameFault.COUNT),
    "words behind the last bitmap": (SEVERAL, [header(5, 1), 1, 5, 0, 0, 6], FrameFault.COUNT),
    "a bit behind": (SMALL, [header(2, 1), 1 << 20, 5], FrameFault.BEHIND),
    "the highest bit": (SMALL, [header(3, 1), 1 << 63 | 1, 5, 6], FrameFault.BEHIND),
    "a bit behind the last block": (
        SEVERAL,
        [header(5, 1), 1, 5, 0, 1 << 22, 6],
        FrameFault.BEHIND,
    ),
    "no header": (SMALL, [], FrameFault.SHORT),
    "only a header": (SMALL, [header(2, 1)], FrameFault.SHORT),
    "a word too few": (SMALL, [header(3, 1), 3, 5], FrameFault.SHORT),
    "a dense word too few": (SMALL, [header(20, 2), *range(19)], FrameFault.SHORT),
    "a bitmap too few": (SEVERAL, [header(4, 1), 1, 5, 0], FrameFault.SHORT),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize(("seed", "before"), [(None, 2), (3, 0)])
def test_damage_is_told_and_ends_the_call(name: str, seed: int | None, before: int):
    form, words, fault = DAMAGED[name]
    good = patterns(form)[8 : 8 + before]
    packed = pack(form, good) + words
    # Where words are to end, no good frame follows.
    if fault != FrameFault.SHORT:
        packed += pack(form, patterns(form)[:3])
    again = Call(pack(form, patterns(form)), 12, address=0x7_0000_2000)
    seen, after = Bench(form, seed, 5).run(Call(packed, before + 4), again)
    wanted = read_frames(form, packed, before + 4)
    assert wanted.fault == fault
    assert seen.faults == fault
    assert seen.failed == before == wanted.failed
    assert seen.items == wanted.frames
    assert seen.asked == list(range(len(packed)))
    # The next call is as any.
    assert (after.faults, after.failed) == (0, None)
    assert after.items == read_frames(form, again.words, 12).frames


@pytest.mark.parametrize("count", [0, 1, 3])
def test_words_behind_the_frames(count: int):
    """All frames are good; the call's end tells of the rest."""
    frames = patterns(SMALL)[8 : 8 + count]
    packed = [*pack(SMALL, frames), header(2, 1), 1, 5]
    seen, after = Bench(SMALL, 1).run(Call(packed, count), Call(pack(SMALL, patterns(SMALL)), 12))
    assert (seen.faults, seen.failed, len(seen.items)) == (FrameFault.LONG, None, count)
    assert seen.items == read_frames(SMALL, packed, count).frames
    assert seen.asked == list(range(len(packed)))
    assert (after.faults, len(after.items)) == (0, 12)


@pytest.mark.parametrize("seed", range(9))
def test_words_that_were_changed_at_random(seed: int):
    """Whatever they are, they are read as the format says, and the next call is as any."""
    form = (SMALL, FORMS[0], SEVERAL)[seed % 3]
    generator = np.random.default_rng(seed)
    calls = []
    for _ in range(3):
        words = pack(form, patterns(form, seed))
        for _ in range(int(generator.integers(0, 3))):
            at = int(generator.integers(len(words)))
            words[at] ^= 1 << int(generator.integers(64))
        cut = int(generator.integers(-4, 5))
        words = words + [header(5, 1)] * cut if cut > 0 else words[: len(words) + cut]
        calls.append(Call(words, 12, address=8 * int(generator.integers(1 << 40))))
    for call, seen in zip(calls, Bench(form, seed, 3).run(*calls), strict=True):
        wanted = read_frames(form, call.words, 12)
        assert (seen.faults, seen.failed) == (wanted.fault, wanted.failed)
        assert seen.items == wanted.frames
        assert seen.asked == list(range(len(call.words)))


@pytest.mark.parametrize("seed", [None, 1])
def test_an_error_of_the_memory_completes_a_frame_that_was_begun(seed: int | None):
    """Whether it is a header's, a bitmap's or a word's; frames before it are whole."""
    frames = patterns(SEVERAL)[[9, 0, 8]]
    words = pack(SEVERAL, frames)
    first = len(pack(SEVERAL, frames[:1]))
    whole = read_frames(SEVERAL, words, 3).frames
    last = len(words) - 1
    calls = [Call(words, 3, errors=(bad,)) for bad in (0, 1, 2, 5, first, first + 1, last)]
    for call, seen in zip(calls, Bench(SEVERAL, seed).run(*calls), strict=True):
        (bad,) = call.errors
        frame = 0 if bad < first else 1 if bad < first + 1 + SEVERAL.blocks else 2
        assert (seen.faults, seen.failed) == (0, frame)
        assert seen.items[:frame] == whole[:frame]
        assert len(seen.items) <= frame + 1
        assert seen.asked == list(range(len(words)))


def test_no_frame_is_begun_behind_a_stop():
    words = pack(SEVERAL, patterns(SEVERAL)[[9, 10, 8, 9]])
    whole = read_frames(SEVERAL, words, 4).frames
    inside = len(whole[0]) + 3
    calls = [Call(words, 4, stop=0), Call(words, 4, stop=inside), Call(words, 4)]
    nothing, some, every = Bench(SEVERAL, 1).run(*calls)
    assert (nothing.items, nothing.faults, nothing.failed) == ([], 0, None)
    assert (some.items, some.faults, some.failed) == (whole[:2], 0, None)
    assert (every.items, every.faults) == (whole, 0)

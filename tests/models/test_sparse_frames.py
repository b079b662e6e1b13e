"""Sparse frames: what is written, a reader that goes word by word gets back."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from numpy.testing import assert_array_equal

from fdht_models.errors import ShapeError
from fdht_models.tensor.sparse_frames import FrameKind, SparseFormat, pack_sparse
from tests.models.sparse_reader import read_frames

_WIDTHS = (8, 16, 32)


def _packed(form: SparseFormat, frames: npt.NDArray[np.uint8]) -> tuple[bytes, list[int]]:
    """What is written, and where each frame ends."""
    # What is left of another call must not come through.
    target = np.full(form.room(len(frames)), 0xA5, np.uint8)
    ends = pack_sparse(form, frames, target)
    return target[: ends[-1] * form.word_bytes].tobytes(), ends.tolist()


def _check(form: SparseFormat, frames: npt.NDArray[np.uint8]) -> list[int]:
    """Compares what the reader gets with what was packed; gives how many words each took."""
    data, ends = _packed(form, frames)
    found, sizes = read_frames(form, data, len(frames))
    assert_array_equal(np.frombuffer(b"".join(found), np.uint8).reshape(frames.shape), frames)
    assert ends == np.cumsum(sizes).tolist()
    assert len(data) == ends[-1] * form.word_bytes
    return sizes


def _frames(form: SparseFormat, used: npt.NDArray[np.bool_], seed: int = 0) -> Any:
    """Frames whose words are zero but for those that are used, [n, frame words]; in these one byte
    is not zero, so that each byte counts.
    """
    random = np.random.default_rng(seed)
    words = np.zeros((*used.shape, form.word_bytes), np.uint8)
    frame, place = np.nonzero(used)
    byte = random.integers(form.word_bytes, size=len(frame))
    words[frame, place, byte] = random.integers(1, 256, len(frame))
    return words.reshape(len(used), -1)


@pytest.mark.parametrize("width", _WIDTHS)
@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 127, 128, 129, 256, 257, 7200])
def test_random_frames_come_back(width: int, count: int) -> None:
    form = SparseFormat(count * width, width)
    random = np.random.default_rng(count)
    share = np.array([0, 0.01, 0.05, 0.3, 0.8, 1, 0.02])
    _check(form, _frames(form, random.random((len(share), count)) < share[:, None], count))


@pytest.mark.parametrize("width", _WIDTHS)
def test_one_word_at_any_place_comes_back(width: int) -> None:
    form = SparseFormat(300 * width, width)
    sizes = _check(form, _frames(form, np.eye(300, dtype=np.bool_)))
    assert sizes == [2 + form.blocks] * 300


@pytest.mark.parametrize("width", _WIDTHS)
def test_an_empty_frame_is_its_header_and_empty_bitmaps(width: int) -> None:
    form = SparseFormat(7200 * width, width)
    assert _check(form, np.zeros((2, form.frame_bytes), np.uint8)) == [1 + form.blocks] * 2


@pytest.mark.parametrize("width", _WIDTHS)
def test_a_frame_is_dense_where_bitmaps_would_make_it_longer(width: int) -> None:
    form = SparseFormat(640 * width, width)
    used = np.zeros((4, 640), np.bool_)
    for frame, words in enumerate((640, 640 - form.blocks, 639 - form.blocks, 0)):
        used[frame, :words] = True
    frames = _frames(form, used)
    data, ends = _packed(form, frames)
    starts = [0, *ends[:-1]]
    kinds = [data[start * width + 4] for start in starts]
    assert kinds == [FrameKind.DENSE, FrameKind.DENSE, FrameKind.SPARSE, FrameKind.SPARSE]
    assert _check(form, frames) == [641, 641, 640, 1 + form.blocks]


def test_a_frame_by_hand() -> None:
    form = SparseFormat(24)  # three words of 8 bytes
    frame = np.zeros((1, 24), np.uint8)
    frame[0, 15] = 9
    data, ends = _packed(form, frame)
    assert ends == [3]
    expected = [
        *[2, 0, 0, 0, 1, 0, 0, 0],  # two words follow, and the frame is sparse
        *[0b010, 0, 0, 0, 0, 0, 0, 0],  # the second of the block follows
        *[0, 0, 0, 0, 0, 0, 0, 9],
    ]
    assert data == bytes(expected)


def test_no_call_takes_more_than_its_room() -> None:
    form = SparseFormat(65 * 8)
    frames = np.ones((5, form.frame_bytes), np.uint8)
    assert _packed(form, frames)[1][-1] * form.word_bytes == form.room(5)


def test_no_frames_take_nothing() -> None:
    form = SparseFormat(64)
    assert pack_sparse(form, np.zeros((0, 64), np.uint8), np.zeros(0, np.uint8)).tolist() == []


def test_frames_that_are_no_whole_words_are_refused() -> None:
    with pytest.raises(ShapeError, match="whole words of 16 bytes"):
        SparseFormat(24, 16)

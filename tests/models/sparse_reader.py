"""Reads frames of `fdht_models.tensor.sparse_frames` byte by byte, as its description says."""

from __future__ import annotations

from fdht_models.tensor.sparse_frames import FrameKind, SparseFormat


def read_frames(form: SparseFormat, data: bytes, count: int) -> tuple[list[bytes], list[int]]:
    """So many frames with all their zeros, and how many words each takes with its header."""
    width, frames, sizes, at = form.word_bytes, [], [], 0

    def word() -> bytes:
        nonlocal at
        found = data[at : at + width]
        assert len(found) == width
        at += width
        return found

    for _ in range(count):
        start, header = at, word()
        length = int.from_bytes(header[:4], "little")
        kind = int.from_bytes(header[4:8], "little")
        assert header[8:] == bytes(width - 8)
        if kind == FrameKind.DENSE:
            words = [word() for _ in range(length)]
        else:
            assert kind == FrameKind.SPARSE
            words = []
            while len(words) < form.frame_words:
                bitmap = word()
                for place in range(8 * width):
                    there = bitmap[place // 8] >> place % 8 & 1
                    if len(words) == form.frame_words:
                        assert not there  # no bit stands behind the last word
                    else:
                        words.append(word() if there else bytes(width))
        assert len(words) == form.frame_words
        assert at - start == (1 + length) * width
        frames.append(b"".join(words))
        sizes.append(1 + length)
    return frames, sizes

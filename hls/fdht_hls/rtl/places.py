"""Where in a frame a word lies, where only words that are not zero arrive.

A stage that gets every word knows by counting which value of its mode it is at. One that gets some
is told: each word carries its place, a coordinate for each mode that is still to be summed, and
which of these sums it is the last word of.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import unsigned
from amaranth.lib import data

from fdht_hls.rtl.axi import memory_word


def frame_item(is_signed: bool, word_bytes: int, frame_words: int) -> data.StructLayout:
    """What the reader of sparse frames hands on: a word of a frame, and its end.

    Members:
        word: a value a byte, the lowest byte first.
        number: of the word in its frame.
        present: there is a word; not where a frame ends behind words that are zero.
        last: the frame ends with it.
    """
    return data.StructLayout(
        {
            "word": memory_word(is_signed, word_bytes),
            "number": unsigned(max(1, (frame_words - 1).bit_length())),
            "present": 1,
            "last": 1,
        }
    )


def place(modes: tuple[int, ...]) -> data.StructLayout:
    """The place of a word.

    Args:
        modes: lengths of those that are still to be summed, the next one first.

    Members:
        modes: a coordinate for each.
        ends: a bit for each: no further word of this frame belongs to the same sum over it. Where
            one is set, those before it are.
    """
    widths = {
        str(at): unsigned(max(1, (length - 1).bit_length())) for at, length in enumerate(modes)
    }
    return data.StructLayout({"modes": data.StructLayout(widths), "ends": unsigned(len(modes))})


def placed(values: data.ArrayLayout, modes: tuple[int, ...] | None) -> Any:
    """A word with its place; only the word where every word arrives, or where nothing is to come.

    Members:
        values: the word.
        place: see `place`.
    """
    return data.StructLayout({"values": values, "place": place(modes)}) if modes else values

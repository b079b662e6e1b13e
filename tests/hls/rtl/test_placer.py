# amaranth: UnusedElaboratable=no
"""Words of sparse frames into fibres with their places, against their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from amaranth.lib import data

from fdht_hls.engine import lower
from fdht_hls.rtl.placer import Coordinates, Placer, Units, _reciprocal
from fdht_hls.rtl.places import frame_item
from fdht_hls.schedule import default_schedule
from tests.hls.rtl.simulation import frame_items, run_stream
from tests.hls.rtl.test_sparse_engine import frames_of, sparse
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network


def coordinates_of(number: int, modes: tuple[int, ...]) -> list[int]:
    found = []
    for length in modes:
        number, own = divmod(number, length)
        found.append(own)
    return found


def places_of(frame: np.ndarray, fibre: int, modes: tuple[int, ...]) -> list[tuple]:
    """(values, coordinates, ends) of each fibre that holds something, by definition."""
    fibres = frame.reshape(-1, fibre)
    numbers = [number for number, values in enumerate(fibres) if values.any()] or [0]
    found = []
    for at, number in enumerate(numbers):
        own = coordinates_of(number, modes)
        later = [coordinates_of(other, modes) for other in numbers[at + 1 :]]
        # The sum over mode k is complete if no later fibre has the same coordinates behind k.
        ends = [all(other[k + 1 :] != own[k + 1 :] for other in later) for k in range(len(modes))]
        found.append((fibres[number].tolist(), own, ends))
    return found


def read(word: int, fibre: int, modes: tuple[int, ...]) -> tuple:
    values = [(word >> (8 * at)) & 0xFF for at in range(fibre)]
    word >>= 8 * fibre
    own = []
    for length in modes:
        width = max(1, (length - 1).bit_length())
        own.append(word & ((1 << width) - 1))
        word >>= width
    return values, own, [bool(word >> at & 1) for at in range(len(modes))]


@pytest.mark.parametrize("label", ["ht-lstm", "tt-gru", "tr-gru", "tucker-lstm", "dense-lstm"])
@pytest.mark.parametrize("seeds", [(None, None), (1, 2)])
def test_every_fibre_comes_with_its_place(label, seeds):
    network = build_network(SHAPES[label])
    plan = lower(network, sparse(default_schedule(network.recurrence)))
    fibre, modes = plan.input[0].design.word_in, plan.input[0].coming
    assert math.prod(modes) * fibre == network.inputs
    frames = frames_of(network)
    wanted = [place for frame in frames for place in places_of(frame & 0xFF, fibre, modes)]
    items = frame_items(network, frames, plan.port.word_bytes)
    taken = run_stream(Placer(plan), items, len(wanted), seeds, "words", source="items")
    assert [read(word, fibre, modes) for word in taken.words] == wanted


@pytest.mark.parametrize(
    ("fibre", "word_bytes", "fibres"),
    [(24, 8, 10), (6, 8, 12), (3, 8, 5), (8, 8, 4), (20, 16, 12), (3, 8, 9)],
)
@pytest.mark.parametrize("seeds", [(None, None), (3, 4)])
def test_fibres_start_anywhere_in_a_word(fibre, word_bytes, fibres, seeds):
    generator = np.random.default_rng(fibre)
    size = -(-fibre * fibres // word_bytes) * word_bytes
    item = frame_item(False, word_bytes, size // word_bytes)
    unit = math.lcm(fibre, word_bytes)
    wanted, items, marks = [], [], 0
    for share in (0.0, 1.0, 0.05, 0.3, 0.0, 0.1):
        frame = generator.integers(1, 256, size) * (generator.random(size) < share)
        frame[fibre * fibres :] = 255 if share == 0.3 else 0  # padding belongs to no fibre
        frame[fibre * (fibres - 1) : fibre * fibres] *= share != 0.3
        rows = frame.reshape(-1, word_bytes)
        there = [number for number, row in enumerate(rows) if row.any()]
        for number in there:
            word = int.from_bytes(bytes(rows[number].tolist()), "little")
            items.append(_item(item, word=word, number=number, present=1))
        items.append(_item(item, last=1))
        held = frame[: fibre * fibres].reshape(fibres, fibre)
        numbers = [number for number in range(fibres) if held[number].any()]
        wanted += [(held[number].tolist(), number) for number in numbers] or [([0] * fibre, 0)]
        # An end that comes when all fibres are gone is told by a mark of its own.
        last = there[-1] * word_bytes // unit if there else 0
        marks += bool(numbers) and numbers[-1] * fibre // unit < last
    units = Units(fibre, fibres, item, word_bytes)
    out = units.fibres_out.payload.shape()
    assert marks or fibres * fibre == size or fibre * fibres < unit
    taken = run_stream(units, items, len(wanted) + marks, seeds, "fibres_out", source="items")
    found = []
    for word in taken.words:
        if _field(out, word, "present"):
            values = _field(out, word, "values")
            bytes_of = [(values >> (8 * at)) & 0xFF for at in range(fibre)]
            found.append((bytes_of, _field(out, word, "number")))
    assert found == wanted


def _item(layout: data.StructLayout, **values: int) -> int:
    return sum(value << layout[name].offset for name, value in values.items())


def _field(layout: data.StructLayout, word: int, name: str) -> int:
    field = layout[name]
    return (word >> field.offset) & ((1 << field.width) - 1)


def test_places_follow_a_clock_apart():
    part = Coordinates((20, 12, 10))
    layout = part.numbers.payload.shape()
    numbers = [_item(layout, number=number, present=1) for number in range(100)]
    numbers[-1] |= _item(layout, last=1)
    taken = run_stream(part, numbers, 100, result="places", source="numbers")
    assert set(np.diff(taken.clocks)) == {1}


@pytest.mark.parametrize(("divisor", "limit"), [(3, 7200), (20, 2400), (1, 5), (7, 8), (12, 120)])
def test_a_reciprocal_divides_every_number(divisor, limit):
    factor, shift = _reciprocal(divisor, limit)
    assert all(number * factor >> shift == number // divisor for number in range(limit))

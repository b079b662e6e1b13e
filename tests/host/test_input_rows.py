"""Rows into which features are computed, block by block."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_host.input_rows import Rows
from fdht_host.readers import UNRESET


@pytest.mark.parametrize("count", [1, 5, UNRESET, UNRESET + 1, 3 * UNRESET])
def test_what_was_written_is_the_block(count):
    rows = Rows(7)
    rows.begin(10**15)  # longer than any memory
    expected = np.random.default_rng(count).integers(0, 256, (count, 7), np.uint8)
    for place in range(count):
        next(rows)[:] = expected[place]
    found = rows.written(count)
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous and found.dtype == np.uint8


def test_a_block_stays_as_it_is_when_the_next_one_is_written():
    rows = Rows(3)
    blocks = []
    for value in range(4):
        rows.begin(2)
        for _ in range(2):
            next(rows)[:] = value
        blocks.append(rows.written(2))
    assert [set(block.ravel()) for block in blocks] == [{0}, {1}, {2}, {3}]


def test_there_are_no_more_rows_than_were_asked_for():
    rows = Rows(3)
    rows.begin(UNRESET + 2)
    assert len(list(rows)) == UNRESET + 2

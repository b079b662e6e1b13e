"""The layout of loadable weights: what lies where, there and back, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fdht_hls.engine import lower, stage_designs
from fdht_hls.schedule import Schedule, StageSchedule, choices, default_schedule, shapes_of
from fdht_hls.weight_tables import HEADER_WORDS
from fdht_hls.weights import (
    LoadableWeights,
    WeightTable,
    pack_weights,
    unpack_weights,
)
from fdht_models.errors import ArtifactError, ConfigError, ShapeError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape
from tests.hls.random_networks import CLASSES, NARROW, SMALL, random_network

FIRST, SECOND = (random_network(seed, widths=NARROW) for seed in (1, 2))
CONSTANT = default_schedule(FIRST.recurrence)
ALL = CONSTANT.with_weights("loadable")
#: Two fibres at once: a row of the second stage has weights for both.
PAIRS = Schedule(
    tuple(choices(shape)[-1] for shape in shapes_of(FIRST.recurrence.input_path, 2)),
    CONSTANT.hidden,
).with_weights("loadable")
SOME = Schedule((CONSTANT.input[0], *ALL.input[1:]), ALL.hidden)


def own(network: QuantizedNetwork, schedule: Schedule = ALL) -> LoadableWeights:
    """As the board reads it."""
    found = LoadableWeights.of(network, lower(network, schedule))
    assert found is not None
    return LoadableWeights.from_json(json.loads(json.dumps(found.to_json())))


def code(words: np.ndarray, table: WeightTable, row: int, column: int) -> int:
    """Counted from the description, not by the code under test."""
    word = int(words[table.first + row * table.row_words + column // table.codes_a_word])
    bits = word >> (table.width * (column % table.codes_a_word)) & ((1 << table.width) - 1)
    return bits - (1 << table.width) if bits >> (table.width - 1) else bits


def test_every_code_is_where_the_layout_says():
    words, layout = pack_weights(lower(SECOND, ALL)), lower(SECOND, ALL).layout
    assert layout is not None and len(words) == layout.words
    assert words[0] == SECOND.design_id
    expected = {
        "bias": SECOND.recurrence.cell.bias.codes.reshape(4, -1).T,
        "head.weights": SECOND.head.weights.codes,
        "head.bias": SECOND.head.bias.codes[None],
    }
    recurrence = SECOND.recurrence
    for label, stages in (("input", ALL.input), ("hidden", ALL.hidden)):
        for design, stage in zip(stage_designs(recurrence, label), stages, strict=True):
            expected[design.name] = design.rows(stage).codes
    assert [table.name for table in layout.tables] == [
        *(f"{label}.C{at}" for label in ("input", "hidden") for at in (3, 2, 1)),
        *("bias", "head.weights", "head.bias"),
    ]
    first = HEADER_WORDS
    for table in layout.tables:
        assert table.first == first
        first += table.words
        rows = [
            [code(words, table, row, column) for column in range(table.columns)]
            for row in range(table.rows)
        ]
        np.testing.assert_array_equal(rows, expected[table.name])


def test_what_is_packed_is_unpacked():
    assert PAIRS.fibres == (2, 1) and pack_weights(lower(SECOND, PAIRS)).size > 0
    for network, schedule in ((SECOND, ALL), (FIRST, SOME), (SECOND, PAIRS)):
        found = unpack_weights(
            FIRST, lower(FIRST, schedule), pack_weights(lower(network, schedule))
        )
        assert replace(found, name=network.name).to_json() == network.to_json()


def test_rows_in_another_order_are_another_network():
    words = pack_weights(lower(SECOND, ALL))
    words[[1, 2]] = words[[2, 1]]
    assert unpack_weights(FIRST, lower(FIRST, ALL), words).to_json() != SECOND.to_json()


def test_only_loadable_stages_have_tables():
    assert lower(FIRST, CONSTANT).layout is None
    assert LoadableWeights.of(FIRST, lower(FIRST, CONSTANT)) is None
    layout = lower(FIRST, SOME).layout
    assert layout is not None and layout.table("input.C3") is None
    assert layout.table("input.C2") and layout.table("bias") and layout.table("head.weights")
    with pytest.raises(ConfigError, match="schedule: has no loadable stage; give stages"):
        pack_weights(lower(FIRST, CONSTANT))


def test_a_layout_has_a_digest_of_its_own():
    digests = {lower(FIRST, schedule).layout.digest for schedule in (ALL, SOME)}  # type: ignore[union-attr]
    assert len(digests) == 2 and 0 not in digests
    assert lower(FIRST, ALL).layout.digest == lower(SECOND, ALL).layout.digest  # type: ignore[union-attr]


def test_weights_of_the_same_shapes_and_formats_are_packed():
    np.testing.assert_array_equal(own(FIRST).pack(SECOND), pack_weights(lower(SECOND, ALL)))


def with_cell(**changes: object) -> QuantizedNetwork:
    recurrence = SECOND.recurrence
    return replace(SECOND, recurrence=replace(recurrence, cell=replace(recurrence.cell, **changes)))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            random_network(2, widths=replace(NARROW, cores=8)),
            r"network\.recurrence\.cores\.C1\.format\.fraction = .*: the core was built for",
        ),
        (
            random_network(2, fdht_shape((3, 4, 5), (8, 2, 2), (2, 2, 2), 3, 2), NARROW),
            r"network\.recurrence\.cores\.C1_hidden\..*: the core was built for",
        ),
        (random_network(2, SMALL, NARROW, (*CLASSES, "d")), r"network\.classes = .*: the core was"),
        (
            with_cell(hidden=FixedPoint(8, 6)),
            r"network\.recurrence\.cell\.hidden\.fraction = 6: the core was built for 7; only",
        ),
        (
            with_cell(gate=replace(SECOND.recurrence.cell.gate, codes=np.zeros(1024, np.int64))),
            r"network\.recurrence\.cell\.gate\.codes: differs from what the core holds for good",
        ),
    ],
)
def test_another_structure_is_refused(network: QuantizedNetwork, message: str):
    with pytest.raises(ConfigError, match=message):
        own(FIRST).pack(network)


def test_a_core_that_a_constant_stage_uses_must_stay():
    message = r"network\.recurrence\.cores\.C3\.codes: differs .* in the stages that use it"
    with pytest.raises(ConfigError, match=message):
        own(FIRST, SOME).pack(SECOND)
    name = FIRST.recurrence.input_path.cores[0]
    cores = {**SECOND.recurrence.cores, name: FIRST.recurrence.cores[name]}
    mixed = replace(SECOND, recurrence=replace(SECOND.recurrence, cores=cores))
    np.testing.assert_array_equal(own(FIRST, SOME).pack(mixed), pack_weights(lower(mixed, SOME)))


def test_a_buffer_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"weights = 3: the core takes \d+ words"):
        unpack_weights(FIRST, lower(FIRST, ALL), np.zeros(3, np.uint64))


def test_it_is_saved_and_a_damaged_file_refused(tmp_path):
    path = tmp_path / "weights.json"
    own(FIRST).save(path)
    np.testing.assert_array_equal(
        LoadableWeights.load(path).pack(SECOND), pack_weights(lower(SECOND, ALL))
    )
    path.write_text('{"layout": 3}')
    with pytest.raises(ArtifactError, match="does not describe weights"):
        LoadableWeights.load(path)


def test_schedules_say_what_weights_are():
    assert Schedule.from_json(ALL.to_json()) == ALL
    older = {key: [{"vector": 1, "outputs": 1}] for key in ("input", "hidden")}
    assert Schedule.from_json(older).input == (StageSchedule(1, 1, "dsp", "constant"),)
    older["hidden"][0]["weights"] = "loaded"
    message = (
        r"schedule\.hidden\[0\]\.weights = 'loaded': is no kind of weights; "
        "use constant or loadable or adders"
    )
    with pytest.raises(ConfigError, match=message):
        Schedule.from_json(older)

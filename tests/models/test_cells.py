"""Cells as data: what a description may say, and the exact formats that follow from it."""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from fdht_models.errors import ArtifactError, NumericError, ShapeError
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import CELLS, cell_from
from fdht_models.tensor.cells import kinds as package
from fdht_models.tensor.cells.kinds import KINDS
from fdht_models.tensor.cells.operations import (
    Bias,
    CellKind,
    Former,
    Lookup,
    Projected,
    Recurrent,
    Round,
    Sum,
    Table,
    argument,
)
from fdht_models.tensor.cells.program import CellProgram, complement_format, make_program
from fdht_models.tensor.fixedpoint import FixedPoint
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network

ROOT = Path(__file__).parents[2]
PRE, GATE, SQUASH = FixedPoint(10, 7), FixedPoint(8, 8, False), FixedPoint(8, 7)
SOURCES = (FixedPoint(20, 14), FixedPoint(18, 13), FixedPoint(12, 10))


def program_of(name: str, **changes: FixedPoint) -> CellProgram:
    kind = KINDS[name]
    forms = {"preactivation": PRE, "recurrent": FixedPoint(10, 6), "hidden": SQUASH}
    forms |= {"cell": FixedPoint(12, 9)} | changes
    tables = {key: SQUASH if key != "gate" else GATE for key in kind.tables}
    return make_program(kind, {key: forms[key] for key in kind.formats}, tables, SOURCES)


def test_each_module_is_a_kind():
    modules = {path.stem for path in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(KINDS) == set(CELLS) == modules
    assert {"lstm", "gru", "mgu"} <= modules


def test_a_kind_is_named_in_its_own_files_only():
    """The proof that a cell is one description: nothing else says `mgu`."""
    own = {"models/fdht_models/tensor/cells/kinds/mgu.py", "models/fdht_models/layers/mgu.py"}
    naming = set()
    for part in ("models", "hls", "overlays", "host", "fdht"):
        for path in (ROOT / part).rglob("*"):
            if path.suffix in {".py", ".h", ".j2", ".toml"} and "mgu" in path.read_text().lower():
                naming.add(path.relative_to(ROOT).as_posix())
    assert naming == own


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_s_formats_are_settings(kind):
    known = {entry.name for entry in fields(QuantizationSettings)}
    assert known >= {*kind.formats, *kind.tables}


@pytest.mark.parametrize("name", KINDS)
def test_a_cell_survives_json(name):
    cell = build_network(SHAPES[f"ht-{name}"]).recurrence.cell
    table = cell.to_json()
    assert table["kind"] == name
    assert cell_from(table).to_json() == table
    with pytest.raises(ArtifactError, match=r"hidden: is missing"):
        cell_from({key: value for key, value in table.items() if key != "hidden"})


def test_the_kind_of_a_cell_must_be_known():
    with pytest.raises(ArtifactError, match=r"kind = 'linear': is not a cell"):
        cell_from({"kind": "linear"})


# Formats -----------------------------------------------------------------------------------------


def test_widths_of_an_lstm():
    """By hand: |f c| <= 255 x 2^11 and |u g| <= 255 x 2^7, 2 bits less fine."""
    program = program_of("lstm")
    assert program.sums == {
        "preactivation": FixedPoint(21, 14),  # 2^19 + 2 x 2^17 + 16 x 2^11 = 2^19.70
        "cell": FixedPoint(21, 17),  # 255 x 2^11 + 4 x 255 x 2^7 = 2^19.32
        "hidden": FixedPoint(16, 15),  # 255 x 2^7
    }
    assert program.readers == {"gate": 3, "candidate": 1, "output": 1}
    assert program.former == {"cell": FixedPoint(12, 9)}
    assert len(program.arguments) == 4 and len(program.products) == 3


def test_widths_of_a_gru():
    program = program_of("gru")
    assert program.sums == {
        "preactivation": FixedPoint(21, 14),
        "recurrent": SOURCES[1],
        "candidate": FixedPoint(21, 14),  # 2^19 + 16 x 2^11 + 255 x 2^9 = 2^19.39
        "hidden": FixedPoint(19, 15),  # 2^9 x 2^7 + 255 x 2^7
    }
    assert program.readers == {"gate": 2, "candidate": 1}
    assert program.former == {"hidden": SQUASH}


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("width", range(2, 7))
@pytest.mark.parametrize("fraction", range(8))
def test_the_format_of_1_less_a_value_is_the_narrowest(width, fraction, signed):
    form = FixedPoint(width, fraction, signed)
    found = complement_format(form)
    values = (1 << fraction) - form.all_codes()
    assert found.fraction == fraction and found.signed
    assert found.minimum <= values.min() and values.max() <= found.maximum
    half = FixedPoint(found.width - 1, fraction)
    assert values.min() < half.minimum or values.max() > half.maximum


def test_a_value_wider_than_an_accumulator_is_refused():
    with pytest.raises(NumericError, match="must lie between 1 and 48 bits"):
        program_of("lstm", cell=FixedPoint(40, 9))


def test_a_gate_without_a_code_for_1_is_refused():
    cell = build_network(SHAPES["ht-mgu"]).recurrence.cell
    gate = cell.tables["gate"]
    coarse = QuantizedArray(FixedPoint(8, -1, False), gate.codes)
    with pytest.raises(ShapeError, match=r"gate.format.fraction = -1: has no code for 1"):
        dataclasses.replace(cell, gate=coarse)


# Verification ------------------------------------------------------------------------------------

_ARGUMENT = argument("one")
_STATE = Round(Lookup(_ARGUMENT, "gate") * Former("hidden"), "hidden")
_GOOD = {
    "name": "new",
    "gates": ("one",),
    "tables": {"gate": Table("preactivation", "gate")},
    "states": {"hidden": _STATE},
}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"gates": ("one", "other")}, "new.gates"),
        ({"states": {"hidden": Round(Projected("one") + Bias("one"), "hidden")}}, "new.gates"),
        ({"tables": {**_GOOD["tables"], "more": Table("preactivation", "gate")}}, "new.tables"),
        ({"tables": {"gate": Table("hidden", "gate")}}, "new.tables"),
        ({"states": {"hidden": _STATE, "cell": Round(Recurrent("one"), "cell")}}, "new.states"),
        ({"states": {"hidden": Round(_STATE.value, "other")}}, "new.states"),
        ({"states": {"cell": _STATE}}, "new.states"),
    ],
)
def test_a_description_that_does_not_hold_together_is_refused(changes, field):
    assert CellKind(**_GOOD).formats == ("preactivation", "hidden")
    with pytest.raises(ShapeError, match=rf"{field} = .*is read or written where it cannot"):
        CellKind(**(_GOOD | changes))


def test_only_1_less_a_value_is_a_difference():
    with pytest.raises(ShapeError, match="only 1 - value"):
        2 - Former("hidden")


def test_a_program_is_verified():
    program = program_of("gru")
    broken = {
        "is not used": dataclasses.replace(program.steps[-1], name="spare"),
        "is not there yet, or twice": program.steps[0],
    }
    for message, step in broken.items():
        with pytest.raises(ShapeError, match=message):
            dataclasses.replace(program, steps=(*program.steps, step))
    with pytest.raises(ShapeError, match="is not there yet"):
        dataclasses.replace(program, steps=program.steps[1:])
    with pytest.raises(ShapeError, match=r"is looked up by fixed<10,3>, not fixed<9,3>"):
        dataclasses.replace(program, tables={**program.tables, "gate": FixedPoint(9, 6)})


def test_equal_values_are_computed_once():
    twice = Lookup(_ARGUMENT, "gate")
    state = Round(Sum((twice * Former("hidden"), Lookup(argument("one"), "gate"))), "hidden")
    kind = CellKind(**(_GOOD | {"states": {"hidden": state}}))
    assert sum(isinstance(one, Lookup) for one in kind.operations) == 1
    assert np.unique([type(one).__name__ for one in kind.operations]).size == 8

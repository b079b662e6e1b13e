"""A head directly behind a cell takes units as they are updated; any other stays hls4ml's."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.shapes import collects, update_order
from fdht_models.errors import ConversionError
from tests.hls import many
from tests.hls.heads import HEADS
from tests.hls.many import Case, ManyCores
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network

#: Units word by word, and a frame's sums collected first.
LABELS = ("ht-lstm-integrated", "tucker-lstm", "bt-gru")


def calls(project: Path) -> dict[str, str]:
    """What the core calls, by function, and the declarations of its streams by name."""
    text = (project / "firmware" / "fdht_lstm.cpp").read_text()
    found = dict(re.findall(r"((?:fdht|nnet)::\w+)<.*>\((.*)\);", text))
    return found | {name: kind for kind, name in re.findall(r"hls::stream<(.*)> (\w+)\(", text)}


@pytest.mark.parametrize("label", LABELS)
def test_the_core_s_head_takes_single_units(label, tmp_path):
    network = build_network(SHAPES[label], classes=3)
    many.write_project(Case(network), tmp_path / "project")
    found = calls(tmp_path / "project")
    assert "fdht::head" in found and "nnet::dense" not in found
    stream = found["fdht::head"].split(",")[0]
    defines = (tmp_path / "project" / "firmware" / "defines.h").read_text()
    name = re.sub(r".*<(\w+)>.*", r"\1", found[stream])
    word = re.search(rf"typedef nnet::array<.*, ([^>]*)> {name};", defines)
    assert word is not None and np.prod([int(part) for part in word[1].split("*")]) == 1


@pytest.mark.parametrize(
    ("precision", "message"),
    [
        ({"result": "fixed<8,4>"}, r"head\.Precision = '?fixed<8,4>.*does not hold its sums"),
        ({"weight": "fixed<3,1>"}, r"head\.weight = 'fixed<3,1.*: rounds its weights"),
        ({"bias": "fixed<2,1>"}, r"head\.bias = 'fixed<2,1.*: rounds its weights"),
    ],
)
def test_a_head_that_rounds_is_refused(tmp_path, precision, message):
    """Also in a graph that was made without Keras; nothing is written."""
    network = build_network(SHAPES[LABELS[0]], classes=3)
    with pytest.raises(ConversionError, match=message):
        many.write_project(Case(network), tmp_path / "project", precision)
    assert not (tmp_path / "project").exists()


def test_heads_of_any_format_are_the_reference_s(tmp_path):
    """Reference = C simulation in both builds; `rtl.test_engine` has the same networks."""
    cases = [Case(network) for network in HEADS.values()]
    for build in ("exact", "native"):
        for name, result in zip(HEADS, ManyCores(cases, tmp_path, build).compare(), strict=True):
            assert result.compared > 50 and result.mismatches == 0, (build, name, result.first)


@pytest.mark.parametrize("label", LABELS)
def test_every_unit_is_updated_once(label):
    recurrence = build_network(SHAPES[label]).recurrence
    order = update_order(recurrence)
    np.testing.assert_array_equal(np.sort(order), np.arange(recurrence.units))
    # The comparison of orders says something: units do not come by number everywhere.
    assert collects(recurrence) == np.array_equal(order, np.arange(recurrence.units))

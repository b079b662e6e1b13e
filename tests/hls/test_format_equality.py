"""Every format and kind of cell, integrated or not: Keras = reference = C simulation."""

from __future__ import annotations

import numpy as np
import pytest

from fdht_hls.conversion import convert_project
from fdht_hls.equality import prove
from fdht_hls.shapes import collects, stage_shape
from fdht_models.tensor.cells.kinds import KINDS
from tests.hls.conftest import Converted
from tests.hls.networks import Classifier
from tests.models.format_cases import SHAPES

#: What takes other loops than a chain: bonds that pass by, terms of a sum, sums in another order.
USUAL = (
    "tt-lstm",
    "tr-gru-integrated",
    "bt-lstm-integrated",
    "tucker-lstm",
    "kcp-vectors-lstm-integrated",
    "dense-gru",
    *(f"ht-{kind}-integrated" for kind in KINDS if kind not in ("lstm", "gru")),
)


def compare(label: str, directory, builds: tuple[str, ...]) -> Converted:
    classifier = Classifier(label, SHAPES[label], generic=True)
    project = Converted(classifier, directory)
    convert_project(classifier.keras(), project.network, project.project, {})
    keras = classifier.keras(sequences=True, stateful=True, batch=len(project.streams))
    libraries = {build: project.library(build) for build in builds}
    results = prove(project.network, keras, libraries, project.streams, lambda *_: None)
    assert {name: result.mismatches for name, result in results.items()} == dict.fromkeys(
        results, 0
    )
    assert all(result.compared >= 1000 for result in results.values())
    assert len(np.unique(project.logits)) > 300, "the comparison says little"
    return project


@pytest.mark.parametrize("label", USUAL)
def test_formats_are_equal(label, tmp_path):
    compare(label, tmp_path, ("native",))


@pytest.mark.slow
@pytest.mark.parametrize("label", SHAPES)
def test_all_formats_are_equal_in_both_builds(label, tmp_path):
    compare(label, tmp_path, ("exact", "native"))


def test_the_usual_ones_reach_every_kind_of_loop():
    """Lanes, terms, bonds that end before opened ones, words without a mode, collected sums."""
    found = set()
    for label in USUAL:
        network = Classifier(label, SHAPES[label], generic=True).network.recurrence
        for path in (network.input_path, network.hidden_path):
            for position in range(len(path.plan.stages)):
                own = stage_shape(path, position)
                found |= {"lanes"} if own.lanes > own.banks else set()
                found |= {"terms"} if own.banks > 1 else set()
                found |= {"low"} if own.low > 1 else set()
                found |= {"no mode"} if position and own.mode == 1 else set()
                found |= {"several modes"} if not position and not own.fibre else set()
        if collects(network):
            found.add("collected")
    assert found == {"lanes", "terms", "low", "no mode", "several modes", "collected"}

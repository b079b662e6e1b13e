"""`fdht run` with other weights: on a simulated board whose core is the integer reference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fdht
import fdht_host.accelerator
import fdht_host.testset
from fdht.cli import run as run_command
from fdht.cli import run_lines
from fdht_hls.boards import get_board
from fdht_hls.engine import lower
from fdht_hls.schedule import default_schedule
from fdht_hls.weights import LoadableWeights
from fdht_host.simulator.device import SimulatedDevice
from fdht_models.artifacts import new_stage, write_json
from fdht_models.directories import LOADABLE, BuildDirectory
from fdht_models.errors import ArtifactError
from fdht_models.experiment import load_experiment
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.figures import Figure, Figures
from fdht_overlays.manifest import CycleCount
from fdht_overlays.simulated_overlay import design_of_network, write_simulated_overlay
from tests.hls.random_networks import random_network
from tests.host.reference_computation import ReferenceComputation
from tests.stage_files import metrics, proof

FIRST, SECOND = random_network(1), random_network(2)
SCHEDULE = default_schedule(FIRST.recurrence).with_weights("loadable")
CLIPS = np.random.default_rng(0).integers(0, 256, (12, 5, FIRST.inputs)).astype(np.uint8)


def labels_of(network: QuantizedNetwork) -> np.ndarray:
    """What a network takes each clip for."""
    return np.array([np.argmax(ReferenceModel(network).run(clip)[-1]) for clip in CLIPS])


def write_overlay(build: Path, *, loadable: bool) -> None:
    """build/first with an overlay for `sim` and its figures."""
    root = build / "first"
    root.mkdir(parents=True)
    FIRST.save(root / "network.json")
    files = {"network.json": root / "network.json"}
    if loadable:
        found = LoadableWeights.of(FIRST, lower(FIRST, SCHEDULE))
        assert found is not None
        files[LOADABLE] = root / LOADABLE
        found.save(files[LOADABLE])
    files["experiment.json"] = root / "experiment.json"
    write_json(root / "experiment.json", load_experiment("motion").to_json())
    training = Figure("measured", "metrics.json of hls/", metrics())
    figures = Figures(training, Figure("counted", "equality.json of hls/", proof(7)))
    design = design_of_network(FIRST, CycleCount(100, "estimated"), files, figures)
    overlay = BuildDirectory(root).overlay("sim", "csim")
    write_simulated_overlay(replace(design, experiment="first"), overlay, get_board("sim"), {})


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Path:
    """A build directory; SECOND is trained there, as the experiment `second`."""
    loadable = getattr(request, "param", True)
    write_overlay(tmp_path, loadable=loadable)
    with new_stage(tmp_path / "second" / "model", "model", {}) as (directory, _):
        SECOND.save(directory / "network.json")
    computation = lambda *_: ReferenceComputation(FIRST, SCHEDULE if loadable else None)  # noqa: E731
    device = lambda board: SimulatedDevice(board, computation=computation)  # noqa: E731
    monkeypatch.setattr(fdht_host.accelerator, "SimulatedDevice", device)
    clips = SimpleNamespace(frames=CLIPS, labels=labels_of(SECOND), classes=FIRST.classes)
    clips.time_step = None
    source = SimpleNamespace(load=lambda *_, **__: clips, preprocessing=FIRST.preprocessing)
    monkeypatch.setattr(fdht_host.testset, "source_of", lambda data: source)
    return tmp_path


def run(capsys: Any, build: Path, *options: str) -> dict[str, Any]:
    arguments = ["run", "first", "--build", str(build), "--no-energy", "--json", *options]
    assert fdht.main(arguments) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_without_the_option_the_core_runs_what_it_was_built_with(build, capsys):
    report = run(capsys, build)
    assert report["equality"]["reference_board"] == {"compared": 12 * 5 * 3, "mismatches": 0}
    assert report["accuracy"]["quantized"] == np.mean(labels_of(FIRST) == labels_of(SECOND)) < 1
    assert report["accuracy"]["float"] == 0.5
    assert report["provenance"]["weights"] == {"id": f"{FIRST.design_id:016x}", "file": None}


@pytest.mark.parametrize("kind", ["experiment", "file"])
def test_weights_of_an_experiment_or_a_file(build, capsys, tmp_path, kind):
    path = build / "second" / "model" / "network.json"
    report = run(capsys, build, "--weights", "second" if kind == "experiment" else str(path))
    # The clips are labelled by SECOND, and every logit is compared with its reference.
    assert report["accuracy"]["quantized"] == 1
    assert report["equality"]["reference_board"] == {"compared": 12 * 5 * 3, "mismatches": 0}
    assert report["experiment"] == "first"
    assert report["provenance"]["design_id"] == f"{FIRST.design_id:016x}"
    found = {"id": f"{SECOND.design_id:016x}", "file": str(path)}
    assert report["provenance"]["weights"] == found
    # What training measured is of other weights.
    assert report["accuracy"]["float"] is None
    lines = run_lines.report_lines(build, report)
    assert f"weights loaded from           {path}" in lines


def refusal(capsys: Any, build: Path, *options: str) -> str:
    """The line of a mistake, after which no report is there."""
    assert fdht.main(["run", "first", "--build", str(build), "--no-energy", *options]) == 2
    assert not (build / "first" / "run").exists()
    error: str = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("build", [False], indirect=True)
def test_a_core_with_constant_weights_refuses(build, capsys):
    error = refusal(capsys, build, "--weights", "second")
    assert "first: holds its weights for good; convert it with a schedule of fdht tune" in error


def test_a_network_that_differs_in_more_is_refused(build, capsys):
    recurrence = SECOND.recurrence
    cell = replace(recurrence.cell, hidden=FixedPoint(8, 6))
    other = replace(SECOND, recurrence=replace(recurrence, cell=cell))
    other.save(build / "other.json")
    error = refusal(capsys, build, "--weights", str(build / "other.json"))
    assert "network.recurrence.cell.hidden.fraction = 6: the core was built for" in error


def test_weights_that_are_not_there(build, capsys):
    assert "no.json: is not there; name a network.json" in refusal(
        capsys, build, "--weights", str(build / "no.json")
    )
    assert "is not there; run fdht train motion" in refusal(capsys, build, "--weights", "motion")
    assert "nonsense" in refusal(capsys, build, "--weights", "nonsense")
    with pytest.raises(ArtifactError, match="is not there"):
        run_command.weights_file("motion", build)


def test_the_proof_of_other_weights_is_not_shown(build, capsys):
    assert run(capsys, build)["equality"]["keras_reference"]["compared"] == 7
    loaded = run(capsys, build, "--weights", "second")
    assert loaded["equality"]["keras_reference"]["compared"] is None
    ids = f"that of {FIRST.design_id:016x} is known, and {SECOND.design_id:016x} ran"
    assert loaded["left_out"]["equality"] == loaded["left_out"]["accuracy"] == ids
    # Of shapes, which are the same.
    assert loaded["parameters"]["dense_lstm"] == 29_557_248

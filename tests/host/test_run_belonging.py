"""A report's figures are of the network that ran, or are left out with the reason."""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fdht_host.testset
from fdht_hls.boards import get_board
from fdht_host.run import RunSettings
from fdht_models.artifacts import digest_file
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError, DataError
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.simulated_overlay import build_simulated_overlay
from tests import stage_files
from tests.host.builds import (
    DATA,
    NETWORK,
    OTHER,
    reference_as_core,
    run_built,
    write_build,
    write_hls,
    write_model,
)
from tests.stage_files import metrics

CLIPS = np.random.default_rng(1).integers(0, 256, (8, 5, NETWORK.inputs)).astype(np.uint8)
LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 2])


def clips_of(classes: tuple[str, ...]) -> Any:
    """A source of test clips."""
    clips = SimpleNamespace(frames=CLIPS, labels=LABELS, classes=classes, time_step=None)
    return SimpleNamespace(load=lambda *_, **__: clips, preprocessing=NETWORK.preprocessing)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sections `[data]` whose test clips were asked for."""
    reference_as_core(monkeypatch)
    found: list[Any] = []
    source = clips_of(NETWORK.classes)

    def source_of(data: Any) -> Any:
        found.append(dict(data))
        return source

    monkeypatch.setattr(fdht_host.testset, "source_of", source_of)
    return found


def run(directory: Path, **settings: Any) -> dict[str, Any]:
    wanted = RunSettings(["test"], energy=False, **settings)
    return run_built(directory, wanted)


def rebuild(directory: Path) -> None:
    build = BuildDirectory(directory)
    assert build_simulated_overlay(build.hls, build.overlay("sim", "csim"), get_board("sim"))


def doctor(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_belongs_is_there(tmp_path, asked):
    report = run(write_build(tmp_path))
    assert report["left_out"] == {}
    assert report["accuracy"]["float"] == 0.5
    for key in ("baselines", "left_out", "comparison"):
        assert report["accuracy"][key] == metrics()["accuracy"][key]
    assert report["parameters"]["dense_lstm"] == 29_557_248
    assert report["equality"]["reference_csim"]["compared"] == 10_200
    assert report["latency"]["result_microseconds"] == 16 / report["latency"]["clock_mhz"]
    shown = [np.argmax(ReferenceModel(NETWORK).run(clip)[-1]) for clip in CLIPS]
    assert report["accuracy"]["quantized"] == np.mean(shown == LABELS)


def test_chance_is_the_share_of_the_largest_class_among_the_test_labels(tmp_path, asked):
    assert run(write_build(tmp_path))["accuracy"]["chance"] == 5 / 8


@pytest.mark.parametrize("gone", [False, True])
def test_figures_are_the_overlay_s_whatever_became_of_the_stages_before(tmp_path, asked, gone):
    directory = write_build(tmp_path)
    if gone:
        for stage in ("model", "hls"):
            shutil.rmtree(directory / stage)
    else:
        write_model(directory / "model", OTHER, accuracy={**metrics()["accuracy"], "float": 0.99})
        write_hls(directory / "hls", OTHER, fill_latency_cycles=20, latency={"W_x C1": 20})
    report = run(directory)
    assert report["left_out"] == {}
    assert report["accuracy"]["float"] == 0.5
    assert report["equality"]["keras_reference"]["compared"] == 10_200
    assert report["latency"]["result_microseconds"] == 16 / report["latency"]["clock_mhz"]
    assert report["provenance"]["overlay"]["figures"] == {
        "training": "metrics.json of hls/, measured",
        "equality": "equality.json of hls/, counted",
        "estimate": "estimate.json of hls/, estimated",
    }


@pytest.mark.parametrize(
    ("file", "changes", "section", "key"),
    [
        ("metrics.json", {"accuracy": {"float": 0.99}}, "accuracy", "float"),
        ("metrics.json", {"parameters": {"lstm": 1}}, "parameters", "lstm"),
        ("equality.json", {"streams": 1}, "equality", "keras_reference"),
        ("estimate.json", {"fill_latency_cycles": 1}, "latency", "result_microseconds"),
    ],
)
def test_a_doctored_figure_is_not_built_in(tmp_path, asked, file, changes, section, key):
    directory = write_build(tmp_path)
    doctor(directory / "hls" / file, **changes)
    rebuild(directory)
    report = run(directory)
    value = report[section][key]
    assert value is None or value["compared"] is None
    told = report["left_out"][section]
    assert f"{file}: differs from its digest in the manifest; run fdht convert again" in told
    assert told in html.unescape(next(directory.glob("run/*/report.html")).read_text())


@pytest.mark.parametrize("when", ["before", "after"])
def test_figures_that_cannot_be_true_take_no_others_with_them(tmp_path, asked, when):
    """Before the build, or in an overlay that was put together by hand, digests and all."""
    directory, wrong = write_build(tmp_path), {**metrics()["accuracy"], "float": 7}
    if when == "before":
        hls = directory / "hls"
        doctor(hls / "metrics.json", accuracy=wrong)
        digest = digest_file(hls / "metrics.json")
        stage_files.reseal(hls, lambda value: value["files"].update({"metrics.json": digest}))
        rebuild(directory)
    else:
        figures = lambda value: value["overlay"]["figures"]  # noqa: E731
        stage_files.reseal(
            directory / "overlay" / "sim" / "csim",
            lambda value: figures(value)["training"]["value"].update(accuracy=wrong),
        )
    report = run(directory)
    assert report["accuracy"]["float"] is None
    assert report["accuracy"]["quantized"] is not None
    assert report["equality"]["reference_csim"]["compared"] == 10_200
    for section in ("accuracy", "parameters"):
        assert "accuracy.float = 7" in report["left_out"][section]


def test_test_clips_are_those_that_the_overlay_carries(tmp_path, asked):
    directory = write_build(tmp_path)
    doctor(directory / "model" / "experiment.json", data={"set": "other"})
    run(directory, clips=2)
    assert asked == [{**DATA, "test_clips": 2}]


def test_without_them_the_test_clips_are_not_known(tmp_path, asked):
    directory = write_build(tmp_path, carried=False)
    with pytest.raises(ConfigError, match=r"^experiment\.json: is not in the overlay.*as --source"):
        run(directory)
    assert not (directory / "run").exists()


def test_test_clips_that_are_files_elsewhere_are_refused(tmp_path, asked):
    """On a board, the folder of the machine that trained is not there."""
    directory = write_build(tmp_path)
    overlay = directory / "overlay" / "sim" / "csim"
    data = {**DATA, "set": "folders", "root": "/on/another/machine", "dead_zone": 0}
    doctor(overlay / "experiment.json", data=data)
    digest = digest_file(overlay / "experiment.json")
    stage_files.reseal(overlay, lambda value: value["files"].update({"experiment.json": digest}))
    with pytest.raises(DataError, match="/on/another/machine': the test clips are files of"):
        run(directory)


def test_another_order_of_classes_is_refused(tmp_path, asked, monkeypatch):
    source = clips_of(NETWORK.classes[::-1])
    monkeypatch.setattr(fdht_host.testset, "source_of", lambda data: source)
    directory = write_build(tmp_path)
    with pytest.raises(ConfigError, match=r"test set = 'still, right, left': has other classes"):
        run(directory)
    assert not (directory / "run").exists()


def test_an_overlay_of_two_networks_is_refused(tmp_path, asked):
    """Put together by hand, digests and all."""
    directory = write_build(tmp_path)
    overlay = directory / "overlay" / "sim" / "csim"
    replace(NETWORK, classes=NETWORK.classes[::-1]).save(overlay / "network.json")
    digest = digest_file(overlay / "network.json")
    stage_files.reseal(overlay, lambda value: value["files"].update({"network.json": digest}))
    with pytest.raises(ArtifactError, match="is of another network than the overlay"):
        run(directory)

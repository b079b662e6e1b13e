"""A report's figures are of the network that ran, or are left out with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fdht_host.testset
from fdht_host.evidence import recipe_of
from fdht_host.run import RunSettings, run_stage
from fdht_models.artifacts import digest_file
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.stages import open_stage
from fdht_models.tensor.reference import ReferenceModel
from tests.host.builds import (
    DATA,
    NETWORK,
    OTHER,
    reference_as_core,
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
    return run_stage(directory, "sim", wanted, lambda *_: None)[1]


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


def test_a_model_trained_anew_gives_nothing_to_the_overlay_of_the_former(tmp_path, asked):
    directory = write_build(tmp_path)
    write_model(directory / "model", OTHER)
    report = run(directory)
    assert report["accuracy"]["float"] is report["accuracy"]["single_frame"] is None
    assert report["parameters"]["lstm"] is None
    assert report["parameters"]["kind"] == "not run"
    told = f"is of another network than {NETWORK.design_id:016x}"
    assert told in report["left_out"]["accuracy"]
    assert told in report["left_out"]["parameters"]
    assert told in next(directory.glob("run/*/report.html")).read_text()
    # The overlay carries its own; were it the model's, it would be told.
    assert "test clips" not in report["left_out"]


def test_a_conversion_made_anew_gives_nothing_to_the_overlay_of_the_former(tmp_path, asked):
    directory = write_build(tmp_path)
    write_hls(directory / "hls", OTHER)
    report = run(directory)
    assert report["equality"]["keras_reference"]["compared"] is None
    assert report["latency"]["result_microseconds"] is None
    assert report["left_out"].keys() == {"equality", "latency"}
    # The overlay knows its own pace.
    assert report["latency"]["cycles_per_frame"] == 500


def test_an_estimate_of_another_schedule_is_left_out(tmp_path, asked):
    directory = write_build(tmp_path)
    write_hls(directory / "hls", fill_latency_cycles=20, latency={"input.C1": 16, "head": 4})
    report = run(directory)
    assert report["latency"]["result_microseconds"] is None
    assert "is of another conversion" in report["left_out"]["latency"]


@pytest.mark.parametrize(
    ("file", "changes", "section", "key"),
    [
        ("model/metrics.json", {"accuracy": {"float": 0.99}}, "accuracy", "float"),
        ("model/metrics.json", {"parameters": {"lstm": 1}}, "parameters", "lstm"),
        ("hls/equality.json", {"streams": 1}, "equality", "keras_reference"),
        ("hls/estimate.json", {"fill_latency_cycles": 1}, "latency", "result_microseconds"),
    ],
)
def test_a_doctored_figure_is_left_out(tmp_path, asked, file, changes, section, key):
    directory = write_build(tmp_path)
    doctor(directory / file, **changes)
    report = run(directory)
    value = report[section][key]
    assert value is None or value["compared"] is None
    assert "differs from its digest in the manifest" in report["left_out"][section]


def test_figures_that_cannot_be_true_take_no_others_with_them(tmp_path, asked):
    directory = write_build(tmp_path)
    write_model(directory / "model", accuracy={**metrics()["accuracy"], "float": 7})
    report = run(directory)
    assert report["accuracy"]["float"] is None
    assert report["accuracy"]["quantized"] is not None
    assert report["equality"]["reference_csim"]["compared"] == 10_200
    for section in ("accuracy", "parameters"):
        assert "metrics.json: accuracy.float = 7" in report["left_out"][section]


def test_test_clips_are_those_that_the_overlay_carries(tmp_path, asked):
    directory = write_build(tmp_path)
    doctor(directory / "model" / "experiment.json", data={"set": "other"})
    run(directory, clips=2)
    assert asked == [{**DATA, "test_clips": 2}]


def test_without_them_those_of_the_model_are_taken_and_told(tmp_path, asked):
    directory = write_build(tmp_path, carried=False)
    overlay = open_stage(directory / "overlay" / "sim" / "csim", "overlay")
    assert recipe_of(directory, overlay).note == ""
    write_model(directory / "model", OTHER)
    assert "is of another training" in run(directory)["left_out"]["test clips"]
    doctor(directory / "model" / "experiment.json", data={"set": "other"})
    with pytest.raises(ArtifactError, match=r"experiment\.json: differs from its digest"):
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
    manifest = json.loads((overlay / "manifest.json").read_text())
    manifest["files"]["network.json"] = digest_file(overlay / "network.json")
    (overlay / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="is of another network than the overlay"):
        run(directory)

"""Whether a network suits live streams is said before the training, and kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fdht_models.artifacts import read_manifest
from fdht_models.experiment import Experiment
from fdht_models.metrics import load_metrics
from fdht_models.preprocessing import (
    Picture,
    Preprocessing,
    Sampling,
    Sound,
    Spikes,
    Values,
    plain,
)
from fdht_models.training.comparison import stream_statement
from tests.models.folders_samples import SIZE, random_frames, write_video

STRIDES = ["consecutive", "stride", "random_stride"]


def video(protocol: str, time_step: float | None = 0.08) -> Preprocessing:
    return Preprocessing(Sampling(protocol, 6, time_step=time_step), picture=Picture(4, 4))


@pytest.mark.parametrize(
    ("preprocessing", "suits", "suitable", "words"),
    [
        (video("stride"), True, STRIDES, "suited (protocol stride, steps of 0.08 s)"),
        (video("consecutive", None), True, STRIDES, "steps of a length that the files do not"),
        (video("random_stride"), True, STRIDES, "steps of 0.08 s on the average"),
        (video("tt_rnn"), True, STRIDES, "suited (protocol tt_rnn"),
        (
            video("uniform", 1.2345),
            False,
            STRIDES,
            "not suited (steps of 1.23 s): protocol uniform spreads its frames over the whole "
            "clip, and a stream has no end; protocols that suit: consecutive, stride, "
            "random_stride",
        ),
        (video("six"), False, STRIDES, "not suited (steps of 0.08 s): protocol six takes"),
        (
            Preprocessing(Sampling("uniform", 6), values=Values(5)),
            False,
            STRIDES,
            "not suited (steps of a length that the files do not state): protocol uniform",
        ),
        (
            Preprocessing(Sampling("window", 6, time_step=0.04), sound=Sound(20, 4)),
            True,
            ["window"],
            "suited (protocol window, steps of 0.04 s)",
        ),
        (
            Preprocessing(Sampling("phones", 6, time_step=0.01), sound=Sound(20, 1)),
            False,
            ["window"],
            "protocol phones takes clips that somebody has cut at labels, and a stream has none; "
            "protocols that suit: window",
        ),
        (
            Preprocessing(Sampling("bins", 6, time_step=0.01), spikes=Spikes(10.0, 700)),
            False,
            [],
            "protocol bins takes clips that somebody has cut",
        ),
    ],
)
def test_what_suits_is_told(
    preprocessing: Preprocessing, suits: bool, suitable: list[str], words: str
) -> None:
    found = stream_statement(preprocessing)
    assert found is not None
    assert (found["suits"], found["suitable"]) == (suits, suitable)
    assert found["time_step"] == preprocessing.sampling.time_step
    assert found["protocol"] == preprocessing.sampling.protocol
    assert words in found["statement"] and "\n" not in found["statement"]
    assert found["statement"].startswith("live streams: ")
    # What is named as a remedy is one.
    for protocol in found["suitable"]:
        assert Sampling(protocol, 6).suits_streams


def test_of_clips_without_files_nothing_is_said() -> None:
    assert stream_statement(plain(5, 4)) is None


@pytest.fixture(scope="module")
def own_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of five people, the one twice as often."""
    root = tmp_path_factory.mktemp("own")
    for place, (name, clips) in enumerate((("walk", 4), ("run", 2))):
        for person in range(5):
            for clip in range(clips):
                frames = random_frames(9, 100 * place + 10 * person + clip)
                write_video(root / name / f"p{person}" / f"{clip}.avi", frames)
    return root


def test_all_options_go_through_the_whole_stage(
    own_clips: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fdht_models.training import recipe, train_stage

    calibrated: list[np.ndarray] = []

    def choose(model: object, frames: np.ndarray, settings: object) -> object:
        calibrated.append(np.array(frames))
        return original(model, frames, settings)

    original = recipe.choose_formats
    monkeypatch.setattr(recipe, "choose_formats", choose)

    experiment = Experiment.from_json(
        {
            "name": "own",
            "data": {
                "set": "folders", "root": str(own_clips), "protocol": "stride", "stride": 2,
                "steps": 3, "feature": "motion_energy", "test_groups": ["p4"], **SIZE,
            },
            "model": {
                "format": "ht", "input_modes": [8, 8, 9], "output_modes": [4, 2, 2],
                "leaf_rank": 2, "inner_rank": 2,
            },
            "quantization": {"calibration_clips": 8},
            "training": {
                "float_epochs": 2, "quantized_epochs": 1, "batch": 4, "patience": 2,
                "validation_share": 0.25, "validation": "groups", "class_weights": "balanced",
                "label_smoothing": 0.1, "weight_decay": 0.01, "dropout": 0.25, "warmup": 0.2,
            },
            "augmentation": {
                "flip": True, "crop": 0.2, "brightness": 0.2, "shift": 1, "drop": 0.1,
            },
        }
    )  # fmt: skip
    metrics = train_stage(experiment, tmp_path / "own", baselines=False)
    model = tmp_path / "own" / "model"
    # 25 frames per second, and every second one.
    line = "live streams: suited (protocol stride, steps of 0.08 s)"
    assert metrics["streams"]["statement"] == line
    assert load_metrics(model / "metrics.json") == json.loads(json.dumps(metrics))
    assert read_manifest(model, "model")["streams"] == line
    said = capfd.readouterr().err
    assert said.index(line) < said.index("float: epoch 1")
    # 24 clips of four people; a quarter is one of them.
    assert "6 of 24 training clips are held out to validate on: 1 of 4 groups" in said
    # Formats are chosen on clips as they are.
    (frames,) = calibrated
    clips = experiment.source.load("train", tmp_path / "data", progress=False)
    np.testing.assert_array_equal(frames, clips.frames[:8])
    # Exported is a network without dropout: Keras and the reference agree in every integer.
    assert metrics["equality"]["keras_reference"] == {"compared": 12, "mismatches": 0}

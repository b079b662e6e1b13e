"""`fdht bench deadzone`: shares, accuracies, the choice, what is kept, the page."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from fdht_models.benchmarks import deadzone
from fdht_models.benchmarks.deadzone import (
    DeadZoneSweep,
    shares_left,
    sweep_dead_zones,
)
from fdht_models.benchmarks.deadzone_page import markdown, table, write_sweep
from fdht_models.data import load_clips
from fdht_models.errors import ConfigError, NumericError
from fdht_models.experiment import Experiment, load_experiment
from fdht_models.layers.export import export_network
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.training.checkpoint import load_checkpoint
from fdht_models.training.models import HEAD, LSTM, quantized_classifier, set_weights

NAME = "motion-no-dead-zone"
CLIPS = 22
SWEEP = DeadZoneSweep((8,), steps=1, test_clips=CLIPS)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    directory = tmp_path_factory.mktemp("deadzone")
    return directory, sweep_dead_zones(load_experiment(NAME), directory, SWEEP, quiet=True)


@pytest.fixture(scope="module")
def clips():
    """As the generator makes them with a dead zone; the sweep makes them of those without."""
    return load_clips("motion", "test", CLIPS, load_experiment(NAME).data.test_seed, dead_zone=8)


@pytest.mark.slow
def test_shares_are_those_of_clips_made_with_the_dead_zone(swept, clips):
    rows = {row["dead_zone"]: row for row in swept[1]["rows"]}
    assert list(rows) == [0, 8]
    words = np.ascontiguousarray(clips.frames).view(np.uint64)
    assert rows[8]["words"] == np.count_nonzero(words) / words.size
    places = clips.frames.reshape(-1, 10, 12, 20, 24)
    assert rows[8]["blocks"] == {
        "24": places.any(axis=4).mean(),
        "480": places.any(axis=(3, 4)).mean(),
        "5760": places.any(axis=(2, 3, 4)).mean(),
        "57600": places.any(axis=(1, 2, 3, 4)).mean(),
    }
    assert 0 < rows[8]["words"] < 0.2 < 0.9 < rows[0]["words"]


@pytest.mark.slow
def test_as_trained_is_what_the_integer_reference_gets(swept, clips):
    experiment = load_experiment(NAME)
    kept = load_checkpoint(experiment)
    model = quantized_classifier(experiment, kept.formats, steps=experiment.steps)
    set_weights(model, kept.quantized_weights, NAME)
    network = export_network(
        *(model.get_layer(name) for name in (LSTM, HEAD)),
        name="sample",
        classes=clips.classes,
        preprocessing=experiment.source.preprocessing,
    )
    reference = ReferenceModel(network)
    right = 0
    for frames, label in zip(clips.frames, clips.labels, strict=True):
        reference.reset()
        right += int(reference.run(np.ascontiguousarray(frames))[-1].argmax() == label)
    rows = {row["dead_zone"]: row for row in swept[1]["rows"]}
    assert rows[8]["as_trained"] == right / CLIPS
    assert right >= CLIPS - 5


@pytest.mark.slow
def test_losses_are_against_the_better_of_the_two_without_one(swept):
    _, result = swept
    assert result["kind"] == "measured"
    none, some = result["rows"]
    top = max(none["as_trained"], none["tuned"])
    assert [row["loss"] for row in (none, some)] == [top - none["tuned"], top - some["tuned"]]
    assert result["setting"]["train_clips"] == 32


def test_the_largest_before_the_first_that_loses_too_much_is_chosen(tmp_path, monkeypatch):
    scores = {0: 0.92, 2: 0.94, 4: 0.925, 6: 0.92, 8: 0.93}
    trained = dict.fromkeys(scores, 0.93)
    monkeypatch.setattr(
        deadzone._Bench, "score", lambda _, zone, steps: (scores if steps else trained)[zone]
    )
    monkeypatch.setattr(deadzone._Bench, "left", lambda *_: deadzone.Left(1.0, {"57600": 1.0}))
    sweep = DeadZoneSweep(tuple(scores), tolerance=0.006)
    result = sweep_dead_zones(load_experiment(NAME), tmp_path, sweep, quiet=True)
    assert result["chosen"]["dead_zone"] == 4


@pytest.mark.slow
def test_a_checkpoint_that_was_trained_with_one_is_scored_with_it(swept, tmp_path):
    directory, without = swept
    sweep = DeadZoneSweep((8,), steps=0, test_clips=CLIPS)
    trained = load_experiment("motion")
    result = sweep_dead_zones(load_experiment(NAME), directory, sweep, trained=trained)
    found = result["trained_with"]
    assert (found["experiment"], found["dead_zone"]) == ("motion", 6)
    assert 0.7 < found["accuracy"] <= 1
    for row, other in zip(result["rows"], without["rows"], strict=True):
        assert row["tuned"] == row["as_trained"] == other["as_trained"]
    page = markdown(result)
    assert f"with a dead zone of {found['dead_zone']} from the beginning, reaches" in page
    assert "--steps 0" in page
    assert "--trained motion\n" in page
    assert "After" not in page
    write_sweep(result, tmp_path)


@pytest.mark.slow
def test_what_was_measured_is_kept(swept, monkeypatch):
    directory, result = swept
    for name in ("continued", "logits_of", "shares_left"):
        monkeypatch.setattr(deadzone, name, lambda *_: pytest.fail("measured once more"))
    again = sweep_dead_zones(load_experiment(NAME), directory, SWEEP, quiet=True)
    assert again == result


def test_a_training_that_diverged_is_a_row_without_result(tmp_path, monkeypatch):
    def refuse(*_):
        raise NumericError("is no longer finite", field="loss", value=float("nan"))

    monkeypatch.setattr(deadzone, "continued", refuse)
    sweep = DeadZoneSweep((4,), steps=1, test_clips=2)
    result = sweep_dead_zones(load_experiment(NAME), tmp_path, sweep, quiet=True)
    assert all(row["tuned"] is None and row["loss"] is None for row in result["rows"])
    assert result["chosen"]["dead_zone"] == 0
    assert "no result" in markdown(result)
    write_sweep(result, tmp_path)


@pytest.mark.slow
def test_the_page_shows_every_row(swept, tmp_path):
    _, result = swept
    write_sweep(result, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "deadzone.json").read_text()) == result
    page = (tmp_path / "out" / "deadzone.md").read_text()
    shown = io.StringIO()
    Console(file=shown, width=200).print(table(result))
    for text in (page, shown.getvalue()):
        for row in result["rows"]:
            for share in (row["as_trained"], row["tuned"], row["words"], row["blocks"]["480"]):
                assert f"{share:.1%}" in text
    assert f"fdht bench deadzone {NAME} --steps 1 --clips {CLIPS}" in page
    assert "--zone 0 --zone 8" in page
    drawn = (tmp_path / "out" / "deadzone.svg").read_text()
    assert "words of 8 bytes that are not zero" in drawn
    assert ">8<" in drawn


def test_shares_of_a_frame_that_fills_no_word():
    frames = np.zeros((1, 2, 12), np.uint8)
    frames[0, 1, 11] = 1
    left = shares_left(frames, (3, 4))
    assert left.words == 1 / 4
    assert left.blocks == {"4": 1 / 6, "12": 1 / 2}


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match="test_clips"):
        DeadZoneSweep(test_clips=0)
    with pytest.raises(ConfigError, match="zones = 255: must be a whole number from 0 to 254"):
        DeadZoneSweep((3, 255))
    with pytest.raises(ConfigError, match="no checkpoint ships"):
        sweep_dead_zones(load_experiment("motion-tt-lstm"), tmp_path)
    with pytest.raises(ConfigError, match=r"data\.dead_zone = 12: has no effect on 'watch'"):
        sweep_dead_zones(load_experiment("watch"), tmp_path)
    given = load_experiment(NAME).to_json()
    given["data"]["dead_zone"] = 5
    with pytest.raises(
        ConfigError, match=r"dead_zone = 5: .*trained with one; take .*such as motion-no-dead-zone"
    ):
        sweep_dead_zones(Experiment.from_json(given), tmp_path)

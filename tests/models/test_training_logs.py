"""TensorBoard's events: every epoch once, whatever interrupts a training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fdht_models.errors import ArtifactError
from fdht_models.kerasapi import tf
from fdht_models.training.loop import Row, fit
from tests.models.test_training_loop import (
    PATIENT,
    PHASE,
    QUIET,
    InterruptionError,
    clips,
    interrupted_after,
    kept_in,
    model,
)

SHARED = {"loss", "accuracy", "rate", "seconds_per_step"}


def events(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of each tag, as TensorBoard reads them, in the order of the files."""
    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(directory.rglob("*tfevents*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                figure = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, []).append((event.step, figure))
    return found


def check(found: dict[str, list[tuple[int, float]]], history: list[Row]) -> None:
    for name in set(found) - {"rate", "seconds_per_step"}:
        # Events hold float32.
        expected = [(row["epoch"], pytest.approx(row[name], rel=1e-6)) for row in history]
        assert found[name] == expected, name
    steps = [step for step, _ in found["seconds_per_step"]]
    assert steps == [row["epoch"] for row in history]
    assert all(seconds > 0 for _, seconds in found["seconds_per_step"])


def test_every_epoch_is_written_with_its_figures(tmp_path: Path) -> None:
    history = fit(model(), clips(), PATIENT, replace(QUIET, logs=tmp_path))
    found = events(tmp_path / "float")
    assert set(found) == SHARED | {"validation_loss", "validation_accuracy"}
    check(found, history)


def test_the_rate_falls_along_a_cosine_to_a_fiftieth(tmp_path: Path) -> None:
    fit(model(), clips(), PHASE, replace(QUIET, logs=tmp_path))
    rates = [value for _, value in events(tmp_path)["rate"]]
    # After epoch 2 of 4 the cosine is at its middle: (1 + 1/50) / 2 of the first rate.
    assert rates[1] == pytest.approx(PHASE.rate * 0.51, rel=1e-5)
    assert rates[3] == pytest.approx(PHASE.rate * 0.02, rel=1e-5)


@pytest.mark.parametrize("after", [1, 4])
def test_a_resumed_training_writes_no_epoch_twice(tmp_path: Path, after: int) -> None:
    logs = tmp_path / "logs"
    with pytest.raises(InterruptionError), interrupted_after(after):
        fit(model(), clips(), PHASE, replace(kept_in(tmp_path), logs=logs))
    assert len(events(logs)["loss"]) == after
    history = fit(model(), clips(), PHASE, replace(kept_in(tmp_path), logs=logs))
    found = events(logs)
    assert set(found) == SHARED
    check(found, history)


def test_a_directory_that_cannot_be_written_ends_in_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(ArtifactError, match=r"cannot be written .* train without tensorboard"):
        fit(model(), clips(), PHASE, replace(QUIET, logs=blocked))


def test_events_that_can_no_longer_be_written_end_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scalar = tf.summary.scalar

    def full(name: str, value: float) -> None:
        if len(events(tmp_path).get("loss", ())):
            raise OSError(28, "No space left on device")
        scalar(name, value)

    monkeypatch.setattr(tf.summary, "scalar", full)
    history = fit(model(), clips(), PHASE, replace(QUIET, logs=tmp_path))
    assert len(history) == PHASE.epochs
    assert len(events(tmp_path)["loss"]) == 1

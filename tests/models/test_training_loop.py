"""The training loop: learns, resumes on the same course, and says when it diverges."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from fdht_models.data import ClipSet
from fdht_models.errors import ArtifactError, ConfigError, NumericError
from fdht_models.kerasapi import keras
from fdht_models.training.checkpoint import recipe_digest
from fdht_models.training.display import Display, PhaseLog
from fdht_models.training.loop import Row, Surroundings, fit
from fdht_models.training.phase import Phase, divide
from tests.models.training_samples import small_experiment

PHASE = Phase("float", epochs=4, rate=0.05, batch=8, clip_norm=1.0, seed=3)
#: Learns noise: the validation loss has its minimum before the last epoch.
PATIENT = replace(PHASE, epochs=16, rate=1.0, validation_share=0.25, patience=4)
QUIET = Surroundings(Display(quiet=True))
DIGEST = "c222e728324ab34a99c14ffaee35e3c162fde9244b93b66e9691d7c7375a0897"


def clips(count: int = 64) -> ClipSet:
    """Two classes that the first value of a frame tells apart."""
    generator = np.random.default_rng(0)
    frames = generator.integers(0, 256, (count, 2, 5), dtype=np.uint8)
    labels = (frames[:, -1, 0] > 127).astype(np.int64)
    return ClipSet(frames, labels, ("low", "high"))


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    frames = keras.Input((2, 5), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 256)(frames))
    return keras.Model(frames, keras.layers.Dense(2)(flat))


def weights(trained: keras.Model) -> list[np.ndarray]:
    return [variable.numpy() for variable in trained.trainable_variables]


def best_of(history: list[Row]) -> int:
    losses = [row["validation_loss"] for row in history]
    return losses.index(min(losses)) + 1


class InterruptionError(Exception):
    """Stands for whatever ends a training between two epochs."""


def kept_in(directory: Path, key: str = "key") -> Surroundings:
    return replace(QUIET, working=directory, key=key)


@contextmanager
def after_epochs(act: Callable[[Row], None]) -> Iterator[None]:
    """Calls `act` whenever the course of an epoch is kept and its events are written."""
    write = PhaseLog.epoch

    def epoch(log: PhaseLog, row: Row, seconds: float) -> None:
        write(log, row, seconds)
        act(row)

    with mock.patch.object(PhaseLog, "epoch", epoch):
        yield


@contextmanager
def interrupted_after(epoch: int) -> Iterator[None]:
    def interrupt(row: Row) -> None:
        if row["epoch"] == epoch:
            raise InterruptionError

    with after_epochs(interrupt):
        yield


def test_it_learns_and_reports_every_epoch() -> None:
    history = fit(model(), clips(), PHASE, QUIET)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert {row["phase"] for row in history} == {"float"}
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["accuracy"] > 0.75


@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, after: int) -> None:
    whole = model()
    expected = fit(whole, clips(), PHASE, QUIET)
    with pytest.raises(InterruptionError), interrupted_after(after):
        fit(model(), clips(), PHASE, kept_in(tmp_path))
    resumed = model()
    keras.utils.set_random_seed(99)  # nothing may depend on global random numbers
    history = fit(resumed, clips(), PHASE, kept_in(tmp_path))
    assert history == expected
    for found, wanted in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("after", [1, 3, 4, 5])
def test_a_resumed_training_stops_early_where_an_uninterrupted_one_does(
    tmp_path: Path, after: int
) -> None:
    phase = replace(PATIENT, patience=2)
    whole = model()
    expected = fit(whole, clips(), phase, QUIET)
    best = best_of(expected)
    # Interrupted before, at and after the best epoch; and stopped early at all.
    assert (best, len(expected)) == (3, 5)
    with pytest.raises(InterruptionError), interrupted_after(after):
        fit(model(), clips(), phase, kept_in(tmp_path))
    resumed = model()
    assert fit(resumed, clips(), phase, kept_in(tmp_path)) == expected
    for found, wanted in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_patience_keeps_the_weights_of_the_best_epoch() -> None:
    stopped, cut = model(), model()
    history = fit(stopped, clips(), PATIENT, QUIET)
    best = best_of(history)
    assert best < len(history)
    kept: list[list[np.ndarray]] = []
    with after_epochs(lambda _: kept.append(weights(cut))):
        fit(cut, clips(), replace(PATIENT, patience=0), QUIET)
    assert len(kept) == PATIENT.epochs  # patience alone ends a phase
    for found, wanted in zip(weights(stopped), kept[best - 1], strict=True):
        np.testing.assert_array_equal(found, wanted)
    # And the figures of that epoch are those of the weights that were kept.
    _, held_out = divide(clips(), PATIENT)
    given = clips()
    logits = stopped(given.frames[held_out]).numpy()
    right = np.mean(logits.argmax(axis=1) == given.labels[held_out])
    assert history[best - 1]["validation_accuracy"] == right


def test_clips_held_out_are_never_trained_on() -> None:
    given = clips()
    training, held_out = divide(clips(), PATIENT)
    assert len(held_out) == 16
    np.testing.assert_array_equal(np.sort(np.concatenate([training, held_out])), np.arange(64))
    # Other contents of the held-out clips change the validation loss and nothing else.
    frames = given.frames.copy()
    frames[held_out] = 255 - frames[held_out]
    phase = replace(PATIENT, patience=0, epochs=2)
    one, other = model(), model()
    before = fit(one, given, phase, QUIET)
    after = fit(other, replace(given, frames=frames), phase, QUIET)
    assert before[0]["loss"] == after[0]["loss"]
    assert before[0]["validation_loss"] != after[0]["validation_loss"]
    for found, wanted in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_which_clips_are_held_out_depends_on_the_seed_alone() -> None:
    np.testing.assert_array_equal(divide(clips(), PATIENT)[1], divide(clips(), PATIENT)[1])
    assert set(divide(clips(), PATIENT)[1]) != set(divide(clips(), replace(PATIENT, seed=4))[1])
    training, held_out = divide(clips(), PHASE)
    np.testing.assert_array_equal(training, np.arange(64))
    assert len(held_out) == 0


@pytest.mark.parametrize(("count", "share"), [(4, 0.1), (1, 0.9)])
def test_too_few_clips_to_hold_some_out_are_refused(count: int, share: float) -> None:
    with pytest.raises(ConfigError, match=r"^training\.validation_share = 0\.\d: of \d clips"):
        fit(model(), clips(count), replace(PHASE, validation_share=share), QUIET)


def test_new_settings_leave_the_digest_of_recipes_without_them_alone() -> None:
    # Computed before there were these settings.
    assert recipe_digest(small_experiment()) == DIGEST
    changed = small_experiment(training={"validation_share": 0.1})
    assert recipe_digest(changed) != DIGEST
    patient = small_experiment(training={"validation_share": 0.1, "patience": 3})
    assert recipe_digest(patient) not in (DIGEST, recipe_digest(changed))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 3}, r"^training\.patience = 3: has no effect without clips to validate on"),
        ({"validation_share": 0.95}, r"^training\.validation_share = 0\.95: must be a number"),
        ({"validation_share": -0.1}, r"^training\.validation_share = -0\.1: must be a number"),
        ({"validation_share": 0.1, "patience": -1}, r"^training\.patience = -1: must be a whole"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_experiment(training=settings)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = model()
    history = fit(first, clips(), PHASE, kept_in(tmp_path))
    again = model()
    with interrupted_after(1):
        assert fit(again, clips(), PHASE, kept_in(tmp_path)) == history
    for found, wanted in zip(weights(again), weights(first), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_state_of_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError), interrupted_after(2):
        fit(model(), clips(), PHASE, kept_in(tmp_path))
    seen: list[int] = []
    with after_epochs(lambda row: seen.append(row["epoch"])):
        fit(model(), clips(), PHASE, kept_in(tmp_path, "other"))
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_a_damaged_state_is_not_resumed(tmp_path: Path, damage: bytes) -> None:
    state = tmp_path / "float.npz"
    state.write_bytes(damage)
    assert len(fit(model(), clips(), PHASE, kept_in(tmp_path))) == PHASE.epochs


def test_the_order_depends_on_seed_and_epoch() -> None:
    one, other = (
        fit(model(), clips(), replace(PHASE, seed=seed, epochs=1), QUIET) for seed in (3, 4)
    )
    assert one[0]["loss"] != other[0]["loss"]


def test_fewer_clips_than_a_batch_are_one_batch() -> None:
    assert len(fit(model(), clips(5), PHASE, QUIET)) == PHASE.epochs


def test_a_loss_that_is_not_finite_ends_in_one_line(tmp_path: Path) -> None:
    diverged = model()
    diverged.trainable_variables[0].assign(np.full((10, 2), np.nan, np.float32))
    state = tmp_path / "float.npz"
    with pytest.raises(
        NumericError, match=r"^loss in float epoch 1 = nan: .* lower training\.rate"
    ):
        fit(diverged, clips(), PHASE, kept_in(tmp_path))
    assert not state.exists()


def test_a_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(ArtifactError, match="cannot be written"):
        fit(model(), clips(), PHASE, kept_in(blocked))

"""The training loop: learns, resumes on the same course, and says when it diverges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht_models.data import ClipSet
from fdht_models.errors import ArtifactError, NumericError
from fdht_models.kerasapi import keras
from fdht_models.training.display import Display
from fdht_models.training.loop import Phase, Row, fit

PHASE = Phase("float", epochs=4, rate=0.05, batch=8, clip_norm=1.0, seed=3)
DISPLAY = Display(quiet=True)


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


class InterruptionError(Exception):
    """Stands for whatever ends a training between two epochs."""


def interrupt_after(epoch: int) -> Any:
    def interrupt(row: Row) -> None:
        if row["epoch"] == epoch:
            raise InterruptionError

    return interrupt


def test_it_learns_and_reports_every_epoch() -> None:
    history = fit(model(), clips(), PHASE, DISPLAY)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    assert {row["phase"] for row in history} == {"float"}
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["accuracy"] > 0.75


@pytest.mark.parametrize("after", [1, 3])
def test_a_resumed_training_ends_with_the_same_weights(tmp_path: Path, after: int) -> None:
    whole = model()
    expected = fit(whole, clips(), PHASE, DISPLAY)
    state = tmp_path / "state.npz"
    with pytest.raises(InterruptionError):
        fit(model(), clips(), PHASE, DISPLAY, state, "key", interrupt_after(after))
    resumed = model()
    keras.utils.set_random_seed(99)  # nothing may depend on global random numbers
    history = fit(resumed, clips(), PHASE, DISPLAY, state, "key")
    assert history == expected
    for found, wanted in zip(weights(resumed), weights(whole), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    first = model()
    history = fit(first, clips(), PHASE, DISPLAY, state, "key")
    again = model()
    assert fit(again, clips(), PHASE, DISPLAY, state, "key", interrupt_after(1)) == history
    for found, wanted in zip(weights(again), weights(first), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_the_state_of_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    state = tmp_path / "state.npz"
    with pytest.raises(InterruptionError):
        fit(model(), clips(), PHASE, DISPLAY, state, "key", interrupt_after(2))
    seen: list[int] = []
    fit(model(), clips(), PHASE, DISPLAY, state, "other", lambda row: seen.append(row["epoch"]))
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut short", b"no archive at all"])
def test_a_damaged_state_is_not_resumed(tmp_path: Path, damage: bytes) -> None:
    state = tmp_path / "state.npz"
    state.write_bytes(damage)
    assert len(fit(model(), clips(), PHASE, DISPLAY, state, "key")) == PHASE.epochs


def test_the_order_depends_on_seed_and_epoch() -> None:
    one, other = (
        fit(model(), clips(), replace(PHASE, seed=seed, epochs=1), DISPLAY) for seed in (3, 4)
    )
    assert one[0]["loss"] != other[0]["loss"]


def test_fewer_clips_than_a_batch_are_one_batch() -> None:
    assert len(fit(model(), clips(5), PHASE, DISPLAY)) == PHASE.epochs


def test_a_loss_that_is_not_finite_ends_in_one_line(tmp_path: Path) -> None:
    diverged = model()
    diverged.trainable_variables[0].assign(np.full((10, 2), np.nan, np.float32))
    state = tmp_path / "state.npz"
    with pytest.raises(
        NumericError, match=r"^loss in float epoch 1 = nan: .* lower training\.rate"
    ):
        fit(diverged, clips(), PHASE, DISPLAY, state, "key")
    assert not state.exists()


def test_a_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    with pytest.raises(ArtifactError, match="cannot be written"):
        fit(model(), clips(), PHASE, DISPLAY, blocked / "state.npz", "key")

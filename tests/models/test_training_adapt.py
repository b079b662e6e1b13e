"""A checkpoint that is trained on from another experiment's belongs to its own, and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fdht_models.errors import ConfigError
from fdht_models.experiment import Experiment
from fdht_models.training import (
    adapt,
    checkpoint,
    load_checkpoint,
    model_stage,
    recipe,
    train_stage,
    write_checkpoint,
)
from fdht_models.training.adapt import ShortCourse, adapt_checkpoint
from tests.models.training_samples import small_experiment

COURSE = ShortCourse(train_clips=60, float_epochs=1, quantized_epochs=1, rate=1e-3)


def experiment(name: str, seed: int, **model: int) -> Experiment:
    training = {"float_epochs": 2, "quantized_epochs": 1}
    data = {"train_clips": 80, "test_clips": 14, "seed": seed}
    made = small_experiment(data=data, model=model, training=training)
    return Experiment.from_json({**made.to_json(), "name": name})


FORMER, LATER = experiment("former", 1), experiment("later", 2)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where checkpoints are, as if it were the zoo; that of `FORMER` is there."""
    for module in (adapt, checkpoint, model_stage, recipe):
        monkeypatch.setattr(module, "checkpoint_path", lambda name: tmp_path / f"{name}.npz")
    train_stage(FORMER, tmp_path / "former", quiet=True, baselines=False)
    write_checkpoint(tmp_path / "former" / "model")
    return tmp_path


def test_it_belongs_to_the_later_experiment_and_says_where_it_comes_from(
    shipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = adapt_checkpoint(LATER, FORMER, COURSE, shipped / "work", quiet=True)
    assert path == shipped / "later.npz"
    former, later = load_checkpoint(FORMER), load_checkpoint(LATER)
    assert former.origin == ""
    assert later.origin == "former: train_clips 60, float_epochs 1, quantized_epochs 1, rate 0.001"
    assert later.formats == former.formats
    # Three steps of each model from the former's own weights: a step of Adam is as long as its rate
    # at most, but for its first ones.
    for one, other, rate in (
        (former.float_weights, later.float_weights, COURSE.rate),
        (former.quantized_weights, later.quantized_weights, LATER.training.quantized_rate),
    ):
        bias = next(name for name in one if name.endswith("bias"))
        assert 0 < np.abs(other[bias] - one[bias]).max() <= 1.5 * 3 * rate
    metrics = train_stage(LATER, shipped / "later", start="checkpoint", steps=1, baselines=False)
    assert metrics["equality"]["keras_reference"]["mismatches"] == 0
    assert "was trained on from that of former: train_clips 60" in capsys.readouterr().err


def test_an_interrupted_course_goes_on(shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = adapt_checkpoint(LATER, FORMER, COURSE, shipped / "a", shipped / "a.npz", quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "_balance", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            adapt_checkpoint(LATER, FORMER, COURSE, shipped / "b", quiet=True)
    assert (shipped / "b" / "later" / "float.npz").is_file()
    again = adapt_checkpoint(LATER, FORMER, COURSE, shipped / "b", shipped / "b.npz", quiet=True)
    one, other = (checkpoint.read_arrays(path) for path in (whole, again))
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])


def test_another_network_is_refused(shipped: Path) -> None:
    other = experiment("later", 2, inner_rank=3)
    with pytest.raises(ConfigError, match=r"later\.model: differs from that of former"):
        adapt_checkpoint(other, FORMER, COURSE, shipped / "work")
    assert not (shipped / "work").exists()

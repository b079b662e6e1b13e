"""A small experiment on the data set `watch`, which needs no pictures, for tests of training."""

from __future__ import annotations

from typing import Any

from fdht_models.data import ClipSet
from fdht_models.data.baseline import BaselineTable, largest_class
from fdht_models.experiment import Experiment

TABLE: dict[str, dict[str, Any]] = {
    "data": {"set": "watch", "steps": 4, "train_clips": 280, "test_clips": 70, "seed": 1},
    "model": {
        "input_modes": [5, 5, 6],
        "output_modes": [4, 4, 4],
        "hidden_box": [4, 4],
        "leaf_rank": 4,
        "inner_rank": 4,
        "input_gain": 2.0,
    },
    "quantization": {"calibration_clips": 16},
    "training": {
        "float_epochs": 14,
        "quantized_epochs": 3,
        "rate": 1e-2,
        "quantized_rate": 3e-3,
        "batch": 20,
    },
}


def small_experiment(**sections: dict[str, Any]) -> Experiment:
    """The small experiment, some values of some sections replaced."""
    table: dict[str, Any] = {"name": "small"}
    for name in (*TABLE, *(name for name in sections if name not in TABLE)):
        table[name] = {**TABLE.get(name, {}), **sections.get(name, {})}
    return Experiment.from_json(table)


def chance_alone(train: ClipSet, test: ClipSet, pictures: object = None) -> BaselineTable:
    """In place of `baseline_table`, most of the time of tests of other things."""
    return BaselineTable((largest_class(test),))

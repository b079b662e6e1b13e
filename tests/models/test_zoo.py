"""The listing of experiments, and the checkpoints that ship."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from fdht_models.experiment import checkpoint_path, experiment_names, load_experiment
from fdht_models.zoo import row, rows, table
from tests.models.training_samples import small_experiment


def test_there_is_a_row_for_each_experiment() -> None:
    found = rows()
    assert [one["name"] for one in found] == list(experiment_names())
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again[0]["ranks"]["leaf_rank"] == list(found[0]["ranks"]["leaf_rank"])


def test_counts_of_a_small_experiment_are_those_done_by_hand() -> None:
    found = row(small_experiment())
    # Leaves 6x4x4, 5x4x4, 6x4x4; B2_3 4x4x3 or B1_2 likewise; the root joins leaf and inner rank.
    matrix = 6 * 4 * 4 + 5 * 4 * 4 + 6 * 4 * 4 + 4 * 4 * 3 + 4 * 3
    assert found["parameters_matrix"] == matrix
    assert found["parameters_lstm"] == matrix + 64
    assert found["dense_matrix"] == 64 * (150 + 16)
    assert found["dense_lstm"] == 64 * (150 + 16 + 1)
    assert found["ratio_matrix"] == pytest.approx(64 * 166 / matrix)
    assert found["ratio_lstm"] == pytest.approx(64 * 167 / (matrix + 64))
    assert found["hidden_units"] == 16
    assert found["ranks"] == {"leaf_rank": 4, "inner_rank": 3, "tree": "balanced"}
    assert (found["format"], found["cell"]) == ("fdht", "lstm")
    assert found["published_parameters"] is None
    assert found["checkpoint"] is False


def test_a_published_figure_is_shown_beside_ours() -> None:
    table_of = small_experiment().to_json()
    published = {"parameters": 1234, "source": "a paper, table 2"}
    found = row(type(small_experiment()).from_json({**table_of, "published": published}))
    assert found["published_parameters"] == 1234
    assert found["published_source"] == "a paper, table 2"


def test_the_table_shows_every_experiment() -> None:
    stream = io.StringIO()
    Console(file=stream, width=80).print(table(rows()))
    for one in rows():
        assert one["name"] in stream.getvalue()
        for key in ("parameters_matrix", "parameters_lstm", "macs", "macs_naive", "constants"):
            assert f"{one[key]:,}" in stream.getvalue(), key


def test_the_listing_needs_no_tensorflow() -> None:
    code = "import sys, fdht_models.zoo as z; z.rows(); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


@pytest.mark.parametrize("name", experiment_names())
def test_shipped_checkpoints_are_of_the_shipped_recipes(name: str) -> None:
    from fdht_models.training import load_checkpoint
    from fdht_models.training.models import quantized_classifier, set_weights

    experiment = load_experiment(name)
    assert checkpoint_path(name).stat().st_size < 200_000
    kept = load_checkpoint(experiment)
    model = quantized_classifier(experiment, kept.formats, steps=experiment.steps)
    set_weights(model, kept.quantized_weights, name)

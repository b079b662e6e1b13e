"""`fdht bench formats`: what is compared is alike, and the figures are those of the trainings."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from fdht_models.artifacts import read_json
from fdht_models.benchmarks import formats
from fdht_models.benchmarks.formats import (
    DENSE,
    DIGITS,
    EXPERIMENTS,
    compare_formats,
    compared_experiment,
    compared_set,
    markdown,
    table,
    write_comparison,
)
from fdht_models.errors import ConfigError, NumericError
from fdht_models.experiment import Experiment, experiment_names
from fdht_models.tensor.formats import FORMATS
from tests.models.training_samples import TABLE, small_experiment

COURSE = {"train_clips": 40, "test_clips": 14}


def experiment(name: str, model: dict, **training) -> Experiment:
    base = {key: TABLE["model"][key] for key in ("input_modes", "output_modes", "hidden_box")}
    given = small_experiment(
        data=COURSE, training={"float_epochs": 1, "quantized_epochs": 1, **training}
    ).to_json()
    return Experiment.from_json({**given, "name": name, "model": {**base, **model}})


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Path, dict]:
    directory = tmp_path_factory.mktemp("formats")
    some = [experiment("a-tt", {"format": "tt", "ranks": [4, 4]})]
    return directory, compare_formats(directory, some, directory / "data")


def test_rows_hold_what_the_trainings_measured(compared):
    directory, result = compared
    row = result["rows"][0]
    metrics = read_json(directory / "a-tt" / "model" / "metrics.json")
    assert (row["format"], row["cell"], row["integrated"]) == ("tt", "lstm", True)
    for kind in ("float", "quantized"):
        assert row[kind] == metrics["accuracy"][kind]
    assert row["parameters_lstm"] == metrics["parameters"]["lstm"]
    assert "single_frame" not in metrics["accuracy"]
    assert result["standard_error"] == pytest.approx((0.25 / 14) ** 0.5)


def test_a_comparison_is_not_repeated(compared):
    directory, result = compared
    model = directory / "a-tt" / "model" / "metrics.json"
    before = model.stat().st_mtime_ns
    again = compare_formats(
        directory,
        [experiment("a-tt", {"format": "tt", "ranks": [4, 4]})],
        directory / "data",
    )
    assert again["rows"] == result["rows"][:1]
    assert model.stat().st_mtime_ns == before


def test_a_training_that_diverges_does_not_end_the_comparison(compared, monkeypatch):
    directory, result = compared
    real = formats.train_stage

    def train(chosen, *arguments, **options):
        if chosen.name == "b-cp":
            raise NumericError("is no longer finite", field="loss", value=float("inf"))
        return real(chosen, *arguments, **options)

    monkeypatch.setattr(formats, "train_stage", train)
    some = [
        experiment("b-cp", {"format": "cp", "rank": 8}),
        experiment("a-tt", {"format": "tt", "ranks": [4, 4]}),
    ]
    found = compare_formats(directory, some, directory / "data")
    assert "is no longer finite" in found["rows"][0]["reason"]
    assert found["rows"][1] == result["rows"][0]
    assert "is no longer finite" in markdown(found)
    write_comparison(found, directory / "out")  # a point that does not exist is not drawn


def test_files_show_every_row(compared, tmp_path):
    _, result = compared
    write_comparison(result, tmp_path / "new" / "out")
    kept = tmp_path / "new" / "out"
    assert json.loads((kept / "formats.json").read_text()) == result
    page = (kept / "formats.md").read_text()
    assert page == markdown(result)
    shown = io.StringIO()
    Console(file=shown, width=200).print(table(result))
    for text in (page, shown.getvalue()):
        row = result["rows"][0]
        assert f"{row['quantized']:.1%}" in text
        assert f"{row['macs_lstm']:,}" in text
    assert "measured on 14 clips of `watch` that" in page
    assert "on 40 clips, once" in page
    drawn = re.findall(r">([a-z]+)</text>", (kept / "formats.svg").read_text())
    assert drawn.count("tt") == 2  # once in each of the two panels


def test_experiments_that_differ_are_refused(tmp_path):
    some = [
        experiment("a-tt", {"format": "tt", "ranks": [4, 4]}),
        experiment("c-cp", {"format": "cp", "rank": 8}, batch=10),
    ]
    with pytest.raises(ConfigError, match=r"c-cp.training: differs from a-tt"):
        compare_formats(tmp_path, some, None)
    assert not list(tmp_path.iterdir())


def test_every_format_of_the_zoo_is_compared_on_equal_terms():
    names = [name for name in experiment_names() if re.fullmatch("motion-.*-(lstm|gru)", name)]
    assert sorted((*EXPERIMENTS, DENSE)) == names
    some = [compared_experiment(name) for name in names]
    assert {one.model.format for one in some} == {"fdht", *FORMATS}
    for one in some:
        assert one.data == some[0].data
        assert one.training == some[0].training
        assert one.quantization == some[0].quantization
    counts = [one.shape.parameter_count for one in some if one.model.format != "dense"]
    assert max(counts) < 1.25 * min(counts)


def test_the_spoken_digits_are_compared_in_every_format(compared, tmp_path):
    names, stem = compared_set("digits")
    assert (names, stem) == (DIGITS, "digits")
    some = [compared_experiment(name) for name in names]
    assert {one.model.format for one in some} == {"fdht", *FORMATS}
    assert max(one.shape.parameter_count for one in some) <= 10_000
    with pytest.raises(ConfigError, match=r"set = 'digit': .*digits"):
        compared_set("digit")
    _, result = compared
    data = {**some[0].to_json()["data"], "root": None}
    heard = {**result, "setting": {**result["setting"], "data": data}}
    write_comparison(heard, tmp_path, stem)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits.json", "digits.md", "digits.svg"
    ]  # fmt: skip
    page = (tmp_path / "digits.md").read_text()
    assert "`fdht bench formats --set digits`" in page
    assert "of `folders` (those of s5, s6) that no training saw" in page


def test_a_users_path_is_in_no_result(tmp_path):
    experiment = compared_experiment("digits-tt-lstm", tmp_path)
    assert experiment.data.root == str(tmp_path)
    with pytest.raises(ConfigError):
        compared_experiment("motion-tt-lstm", tmp_path)


def test_another_experiment_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"format = 'motion': .*motion-tt-lstm"):
        compared_experiment("motion")

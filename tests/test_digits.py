"""The spoken digits: `fdht train digits` on the recordings, to a simulated board; and in small."""

from __future__ import annotations

import json
import os
import wave
from pathlib import Path

import numpy as np
import pytest

import fdht
from fdht_models.experiment import experiment_names, load_experiment

#: Real recordings of ten digits by six speakers, <digit>/<speaker>_<number>.wav; docs/datasets.md.
RECORDINGS = Path(
    os.environ.get("FDHT_FSDD", Path(__file__).parents[1] / ".." / "shared" / "data" / "fsdd")
)
DIGITS = [name for name in experiment_names() if name.split("-")[0] == "digits"]


def report_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict:
    capsys.readouterr()
    assert fdht.main([*arguments, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def sing(path: Path, hertz: float, seed: int) -> None:
    """A second of hiss with a tone in it, at 8 kHz, by Python's own writer."""
    generator = np.random.default_rng(seed)
    samples = generator.normal(0, 20, 8000)
    first, last = sorted(generator.integers(1000, 7000, 2))
    last = max(last, first + 2400)
    times = np.arange(min(last, 8000) - first) / 8000
    loud = 10 ** generator.uniform(2.5, 4)
    samples[first : first + len(times)] += loud * np.sin(2 * np.pi * hertz * times)
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as output:
        output.setparams((1, 2, 8000, 0, "NONE", ""))
        output.writeframes(np.rint(samples.clip(-32768, 32767)).astype("<i2").tobytes())


def test_every_format_hears_the_same_clips_in_ten_thousand_parameters() -> None:
    some = [load_experiment(name) for name in DIGITS]
    assert len(some) == 11
    for one in some:
        assert one.shape.parameter_count <= 10_000
        assert (one.data, one.training, one.augmentation, one.quantization) == (
            some[0].data, some[0].training, some[0].augmentation, some[0].quantization,
        )  # fmt: skip
    assert load_experiment("digits").model == load_experiment("digits-fdht-lstm").model


def test_tones_in_a_folder_are_learnt_by_the_recipe_of_the_digits(tmp_path: Path) -> None:
    from fdht_models.training.model_stage import train_stage

    # Ten tones as ten digits: what `digits` needs of a folder, in the names that it needs.
    for digit in range(10):
        for speaker, number in [(s, n) for s in "abcd" for n in range(3)]:
            path = tmp_path / "clips" / str(digit) / f"s{1 + 'abcd'.index(speaker)}_{number}.wav"
            sing(path, 300 * 1.22**digit, seed=100 * digit + 10 * ord(speaker) + number)
    table = load_experiment("digits").to_json()
    # Four steps hold enough of a tone, and are built four times as fast.
    table["data"] |= {"test_groups": ["s4"], "steps": 4}
    table["training"] |= {"float_epochs": 20, "quantized_epochs": 1, "batch": 15}
    table["model"] |= {"leaf_rank": [8, 6, 6], "inner_rank": 8}
    text = [f'description = "{table["description"]}"']
    for section in ("data", "model", "training", "augmentation"):
        text.append(f"[{section}]")
        text += [
            f"{key} = {json.dumps(value)}"
            for key, value in table[section].items()
            if value not in (None, [])
        ]
    recipe = tmp_path / "tones.toml"
    recipe.write_text("\n".join(text))
    experiment = load_experiment(recipe).with_data_root(tmp_path / "clips")
    metrics = train_stage(experiment, tmp_path / "build/tones", quiet=True, baselines=False)
    assert metrics["clips"]["test"] == 30
    assert metrics["accuracy"]["quantized"] >= 0.8  # one of ten by chance
    network = json.loads((tmp_path / "build/tones/model/network.json").read_text())
    sound = network["preprocessing"]["sound"]
    assert (sound["level"], sound["floor"], sound["trim"]) == (-20.0, -60.0, 30.0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    not RECORDINGS.is_dir(),
    reason=f"the recordings of the spoken digits are not in {RECORDINGS} (set FDHT_FSDD)",
)
def test_spoken_digits_of_unknown_speakers_on_a_simulated_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ("--build", str(tmp_path))
    metrics = report_of(capsys, "train", "digits", "--data-root", str(RECORDINGS), *build)
    assert metrics["parameters"]["lstm"] <= 10_000
    assert metrics["clips"]["test"] == 1000
    assert metrics["accuracy"]["quantized"] >= 0.85
    report_of(capsys, "convert", "digits", *build)
    equality = json.loads((tmp_path / "digits/hls/equality.json").read_text())
    for pair in ("keras_reference", "reference_csim_exact", "reference_csim"):
        assert equality[pair]["compared"] >= 10_000
        assert equality[pair]["mismatches"] == 0
    report_of(capsys, "build", "digits", *build)
    report = report_of(capsys, "run", "digits", "--source", "test", "--no-energy", *build)
    board = report["equality"]["reference_board"]
    assert board["compared"] > 0 and board["mismatches"] == 0
    assert np.sum(report["accuracy"]["confusion"]) == 1000
    assert report["accuracy"]["quantized"] == metrics["accuracy"]["quantized"]

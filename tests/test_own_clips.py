"""A folder of a user's own clips through the front door: `fdht data`, then `fdht train`."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fdht
from fdht_models.data import source_of
from fdht_models.documents import read_toml_file
from fdht_models.experiment import load_experiment
from fdht_models.sections import DataSettings
from fdht_models.tensor.quantized import QuantizedNetwork
from tests.models.folders_samples import random_frames, ucf11, write_video

RECIPE = """
[data]
set = "folders"
pattern = "/(?P<group>p\\\\d)_"
steps = 3
height = 4
width = 5
folds = 2

[model]
format = "tt"
input_modes = [3, 4, 5]
output_modes = [4, 2, 2]
hidden_box = [2, 2]
ranks = 2

[quantization]
calibration_clips = 4

[training]
float_epochs = 1
quantized_epochs = 1
batch = 4
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("own") / "clips"
    for number, name in enumerate(("fall", "walk")):
        for person in range(4):
            for take in range(2):
                frames = random_frames(5 + take, 100 * number + 10 * person + take)
                write_video(root / name / f"p{person}_{take}.avi", frames)
    return root


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(RECIPE)
    return path


def run(capsys: Any, *arguments: object) -> str:
    code = fdht.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return str(captured.out)


def failed(capsys: Any, *arguments: object) -> str:
    assert fdht.main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("fdht: ")]
    assert len(lines) == 1 and "Traceback" not in error
    return lines[0]


def test_a_folder_is_shown(capsys: Any, clips: Path) -> None:
    shown = run(capsys, "data", clips)
    assert "your own clips, video, uniform of 16 steps, group-disjoint, fold 0 of 5" in shown
    assert "16 files: ffv1, 16x12, 25 a second" in shown
    assert "source is not known, each file a group of its own: 16 of 16" in shown
    assert "shorter than the 16 frames that uniform" in shown and "16 of 16" in shown


def test_a_folder_that_cannot_be_divided_is_shown_and_refused(capsys: Any, clips: Path) -> None:
    code = fdht.main(["data", str(clips), "--pattern", r"/(?P<group>p\d)_"])
    captured = capsys.readouterr()
    assert code == 2 and "the folder holds only 4 groups" in captured.err
    assert "walk" in captured.out and "fall" in captured.out
    assert "ffv1, 16x12, 25 a second" in captured.out


def test_a_folder_as_an_experiment_reads_it(capsys: Any, clips: Path, recipe: Path) -> None:
    found = json.loads(run(capsys, "data", clips, "--experiment", recipe, "--json"))
    assert [row["name"] for row in found["classes"]] == ["fall", "walk"]
    assert found["total"] == {
        "name": "all", "clips": 16, "groups": 4, "train": 8, "test": 8,
        "frames": {"least": 5, "median": 5.5, "most": 6},
        "seconds": {"least": 0.2, "median": 0.22, "most": 0.24},
    }  # fmt: skip
    assert found["formats"] == {"ffv1, 16x12, 25 a second": 16}
    assert found["error"] is None and found["short_clips"] == 0
    again = json.loads(run(capsys, "data", recipe, "--data-root", clips, "--json"))
    assert again == found


def test_a_contact_sheet_and_a_check(
    capsys: Any, clips: Path, recipe: Path, tmp_path: Path
) -> None:
    root = tmp_path / "clips"
    shutil.copytree(clips, root)
    whole = (root / "walk/p1_1.avi").read_bytes()
    (root / "walk/p1_1.avi").write_bytes(whole[: len(whole) * 2 // 3])
    sheet = tmp_path / "sheet.png"
    shown = run(
        capsys, "data", root, "--experiment", recipe, "--sheet", sheet, "--check", "--split", "all"
    )
    assert "decoded 16 clips: 1 damaged" in shown and "is damaged: walk/p1_1.avi" in shown
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture)
    # Two rows of pictures: noise, where a field without a picture is white.
    assert pixels.shape[2] == 3 and len(np.unique(pixels[40:100, 10:1000])) > 200


def test_a_published_set_is_shown_and_a_part_of_it_is_enough(capsys: Any, tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    found = json.loads(
        run(capsys, "data", "ucf11-fdht-lstm", "--data-root", tmp_path / "UCF11", "--json")
    )
    assert [row["name"] for row in found["classes"]] == ["basketball", "biking"]
    assert found["total"]["groups"] == 5
    assert any("classes without a clip: 9 (" in note for note in found["notes"])
    assert any("20 of 1,600 files of UCF11" in note for note in found["notes"])
    source = load_experiment("ucf11-fdht-lstm").with_data_root(tmp_path / "UCF11").source
    assert source.classes == ("basketball", "biking") and source.class_count == 2
    assert load_experiment("ucf11-fdht-lstm").source.class_count == 11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["motion"], "lies in no folder"),
        (["nowhere"], "there is no such experiment"),
        (["ucf11-fdht-lstm"], "data-root: is missing"),
        ([".", "--split", "both"], "split = 'both'"),
        ([".", "--sheet", "a.gif"], r"sheet = 'a.gif': is drawn as .png"),
        ([".", "--kind", "film"], "kind = 'film'"),
        (["ucf11-fdht-lstm", "--data-root", ".", "--kind", "sound"], "--kind: has no effect on"),
    ],
)
def test_what_cannot_be_shown(capsys: Any, arguments: list[str], message: str) -> None:
    assert message in failed(capsys, "data", *arguments)


def digest(recipe: Path, root: Path, cache: Path, change: str = "") -> str:
    path = recipe.with_name("changed.toml")
    path.write_text(RECIPE.replace("folds = 2", change or "folds = 2"))
    return load_experiment(path).with_data_root(root).source.digest("train", cache)


def test_the_digest_knows_everything_but_the_place(
    clips: Path, recipe: Path, tmp_path: Path
) -> None:
    first = digest(recipe, clips, tmp_path)
    moved = shutil.copytree(clips, tmp_path / "elsewhere")
    assert digest(recipe, moved, tmp_path) == first
    changes = [
        'test_groups = ["p0", "p1"]',
        'folds = 2\nclasses = ["walk", "fall"]',
        'folds = 2\nfeature = "motion_energy"',
        "folds = 4",
    ]
    found = {digest(recipe, clips, tmp_path, change) for change in changes}
    assert len(found) == len(changes) and first not in found
    # Only the groups change, not which clips train.
    table = "path,group\n" + "".join(
        f"{path.relative_to(moved)},{path.stem[:2]}x\n" for path in sorted(moved.rglob("*.avi"))
    )
    (moved / "clips.csv").write_text(table)
    assert digest(recipe, moved, tmp_path) != first


def test_training_on_own_clips(capsys: Any, clips: Path, recipe: Path, tmp_path: Path) -> None:
    root = shutil.copytree(clips, tmp_path / "clips")
    build = tmp_path / "build"
    arguments = ["train", recipe, "--data-root", root, "--build", build, "--json"]
    metrics = json.loads(run(capsys, *arguments))
    network = QuantizedNetwork.load(build / "own/model/network.json")
    assert network.classes == ("fall", "walk")
    assert metrics["confusion"]["classes"] == ["fall", "walk"]
    assert np.sum(metrics["confusion"]["matrix"]) == 8
    assert network.preprocessing.sampling.protocol == "uniform"
    assert fdht.main([str(argument) for argument in arguments]) == 0
    assert "is up to date" in " ".join(capsys.readouterr().err.split())
    # What was trained can be used where its clips are no more.
    shutil.rmtree(root)
    from fdht_models.training.model_stage import restore

    assert restore(build / "own/model").output_shape[-1] == 2
    assert "there is no such folder" in failed(capsys, *arguments)


def test_folds_of_own_clips_are_by_group(recipe: Path, clips: Path) -> None:
    from fdht_models.training.folds import fold_experiments

    recipe.write_text(RECIPE.replace("folds = 2", 'test_groups = ["p0"]'))
    parts = fold_experiments(load_experiment(recipe).with_data_root(clips), 4)
    assert [part.source.request.fold for part in parts] == [0, 1, 2, 3]
    assert all(part.source.request.test_groups is None for part in parts)


def test_the_experiment_of_the_documentation_can_be_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/datasets.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in page.split("```toml\n")[1:]]
    assert len(blocks) >= 2
    (tmp_path / "own.toml").write_text(blocks[0])
    experiment = load_experiment(tmp_path / "own.toml")
    assert experiment.source.classes == ("walk", "fall")
    (tmp_path / "digits.toml").write_text(blocks[1])
    source = source_of(asdict(DataSettings(**read_toml_file(tmp_path / "digits.toml")["data"])))
    assert source.frame_shape == (80,) and source.steps == 25


def test_arrays_are_shown_as_the_network_sees_them(capsys: Any, tmp_path: Path) -> None:
    for label in ("hot", "cold"):
        (tmp_path / "own" / label).mkdir(parents=True)
        for number in range(5):
            values = np.random.default_rng(number).random((20, 8)).astype(np.float32)
            np.save(tmp_path / "own" / label / f"{number}.npy", values)
    options = ["--kind", "arrays", "--inputs", "8"]
    assert "full_scale: is missing" in failed(capsys, "data", tmp_path / "own", *options)
    sheet = tmp_path / "sheet.png"
    shown = run(
        capsys, "data", tmp_path / "own", *options, "--full-scale", "1", "--sheet", sheet, "--check"
    )
    assert "10 files: [frames, 8]" in shown and "20 / 20 / 20" in shown
    assert "decoded 10 clips: 0 damaged" in shown
    with Image.open(sheet) as picture:
        assert len(np.unique(np.asarray(picture))) > 100


def test_a_recipe_that_changed_since_is_told(
    capsys: Any, clips: Path, recipe: Path, tmp_path: Path
) -> None:
    run(capsys, "train", recipe, "--data-root", clips, "--build", tmp_path / "build")
    for change, told in (("steps = 3", False), ("steps = 4", True)):
        recipe.write_text(RECIPE.replace("steps = 3", change))
        fdht.main(["run", str(recipe), "--build", str(tmp_path / "build")])  # nothing is built
        error = capsys.readouterr().err
        assert ("is not what was trained (data.steps differs)" in " ".join(error.split())) is told

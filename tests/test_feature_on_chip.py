"""A small video experiment whose core computes the feature: train, convert, cosim, build, run.

Beside it the same network with the feature on the host: the answers are the same integers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht
from fdht_hls.csimulation import CSimulation
from fdht_hls.schedule import load_schedule
from fdht_host.accelerator import Accelerator
from fdht_host.video import decode
from fdht_models.directories import BuildDirectory
from fdht_models.features import features_of
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from tests.models.folders_samples import random_frames, write_video
from tests.test_own_clips import RECIPE as OWN

VIDEO = 'steps = 5\nfeature = "motion_energy"\ndead_zone = 6\n'
RECIPE = OWN.replace("steps = 3\n", VIDEO) + '[core]\nfeature = "chip"\n'
NAME = "chip"

#: Two conversions and a simulation of the RTL; the parts have fast tests of their own.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def command(*arguments: object) -> None:
    assert fdht.main([str(argument) for argument in arguments]) == 0


def report_of(build: Path, clips: Path, *options: object) -> dict[str, Any]:
    command("run", NAME, "--build", build, "--source", clips, "--no-energy", *options)
    (report,) = (build / NAME / "run").glob("*/report.json")
    found = dict(json.loads(report.read_text()))
    shutil.rmtree(report.parent.parent)
    return found


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coarse noise, of clips of the trained length and of shorter ones."""
    root = tmp_path_factory.mktemp("own") / "clips"
    for number, name in enumerate(("fall", "walk")):
        for person in range(4):
            frames = random_frames(4 + 2 * person, 10 * number + person, 4, 5)
            write_video(root / name / f"p{person}_0.avi", frames.repeat(8, 1).repeat(8, 2))
    return root


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> dict[str, Path]:
    """One training, converted and built for a core of each kind."""
    root = tmp_path_factory.mktemp("feature")
    recipe = root / f"{NAME}.toml"
    recipe.write_text(RECIPE)
    command("train", recipe, "--build", root / "chip", "--data-root", clips)
    shutil.copytree(root / "chip", root / "host")
    found = {}
    for kind, options in {"chip": (), "host": ("--feature", "host")}.items():
        found[kind] = root / kind
        command("convert", recipe, "--build", found[kind], *options)
        command("build", recipe, "--build", found[kind], "--board", "sim")
    return found


def test_the_conversion_proves_the_core_that_computes(builds: dict[str, Path]) -> None:
    for kind, frames in (("chip", "raw"), ("host", "dense")):
        hls = BuildDirectory(builds[kind] / NAME).hls.path
        assert load_schedule(hls / "schedule.json").frames == frames
        proof = json.loads((hls / "equality.json").read_text())
        assert proof["reference_csim"]["mismatches"] == 0
        assert proof["reference_csim"]["compared"] >= 10_000
        core = CSimulation(hls / "csim.so")
        assert core.frames_before == (kind == "chip")
        core.close()
    estimates = [
        json.loads((BuildDirectory(builds[kind] / NAME).hls.path / "estimate.json").read_text())
        for kind in ("chip", "host")
    ]
    readers = [
        next(stage for stage in one["stages"] if stage["name"] == "read frame") for one in estimates
    ]
    names = [set(reader["parts"]) for reader in readers]
    assert names[0] - names[1] == {"frame before"}


def test_the_answers_are_those_of_the_host(builds: dict[str, Path], clips: Path) -> None:
    long = clips.parent / "long.avi"
    write_video(long, random_frames(40, 5, 4, 5).repeat(8, 1).repeat(8, 2))
    for source, options in (
        (clips, ()),
        (long, ("--protocol", "every")),
        (long, ("--protocol", "every", "--clip-frames", 0)),
        (long, ("--protocol", "every", "--clip-frames", 3)),
    ):
        chip, host = (report_of(builds[kind], source, *options) for kind in ("chip", "host"))
        assert chip["clips"] == host["clips"] and len(chip["clips"])
        assert chip["equality"]["reference_board"]["mismatches"] == 0
        assert chip["equality"]["reference_board"] == host["equality"]["reference_board"]


def test_an_accelerator_takes_the_frames_of_a_video(builds: dict[str, Path], clips: Path) -> None:
    directory = BuildDirectory(builds["chip"] / NAME)
    video = clips / "fall" / "p3_0.avi"
    frames = np.stack([frame.ravel() for frame in decode(video, 4, 5)])
    features = features_of("motion_energy", frames.reshape(-1, 4, 5, 3), 6)
    network = QuantizedNetwork.load(directory.model.path / "network.json")
    wanted = ReferenceModel(network).run(features)
    for batch in (1, 4, 32):
        with Accelerator.open(directory.overlay("sim", "csim").path, batch=batch) as accelerator:
            whole = accelerator.infer(frames, reset=True)
            first = accelerator.infer(frames[:4], reset=True)
            rest = np.array(list(accelerator.stream(iter(frames[4:]), reset=False)))
        np.testing.assert_array_equal(whole, wanted)
        np.testing.assert_array_equal(np.concatenate([first, rest]), wanted)


def test_the_rtl_takes_raw_frames(builds: dict[str, Path], capsys) -> None:
    command("cosim", NAME, "--build", builds["chip"], "--frames", 8, "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["mismatches"], told["compared"]) == (0, 8 * 2)
    assert told["io_limit"] == 8
    command("cosim", NAME, "--build", builds["host"], "--frames", 8, "--feature", "chip", "--json")
    again = json.loads(capsys.readouterr().out)
    assert (again["mismatches"], again["io_limit"]) == (0, 8)


def test_the_kept_test_clips_hold_features_alone(builds: dict[str, Path], capsys) -> None:
    arguments = ["run", NAME, "--build", str(builds["chip"]), "--source", "test"]
    assert fdht.main([*arguments, "--no-energy"]) == 2
    error = capsys.readouterr().err
    assert "are kept as features" in error and "--source, or build with --feature host" in error

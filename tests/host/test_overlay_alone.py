"""An overlay's directory alone, copied to where nothing else of its build is: chosen and run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht
import fdht_host.testset
from fdht_host.choice import overlay_at
from fdht_models.data import ClipSet
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.tensor.reference import ReferenceModel
from tests import stage_files
from tests.host.builds import NETWORK, reference_as_core, write_build, write_video


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a copy of overlay/sim, and nothing else; we are in it."""
    reference_as_core(monkeypatch)
    overlays = write_build(tmp_path / "there") / "overlay"
    place = tmp_path / "here"
    shutil.copytree(overlays / "sim", place / "sim")
    shutil.rmtree(tmp_path / "there")
    monkeypatch.chdir(place)
    return place


def run(capsys: Any, *arguments: str) -> tuple[dict[str, Any], str]:
    assert fdht.main(["run", *arguments, "--json", "--no-energy"]) == 0
    said = capsys.readouterr()
    return json.loads(said.out), said.err


def refusal(capsys: Any, *arguments: str) -> str:
    assert fdht.main(["run", *arguments]) == 2
    error: str = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("name", ["./sim", "sim", "sim/csim", "./sim/csim/", "ABSOLUTE"])
def test_its_path_stands_for_the_experiment(place, capsys, name):
    write_video(place / "v.mkv")
    given = str(place / "sim") if name == "ABSOLUTE" else name
    report, said = run(capsys, given, "--source", "v.mkv")
    assert report["experiment"] == "tiny-net" and report["board"]["name"] == "sim"
    assert report["equality"]["reference_board"] == {"compared": 39 * 3, "mismatches": 0}
    assert report["accuracy"]["float"] == 0.5
    assert report["accuracy"]["comparison"] == stage_files.metrics()["accuracy"]["comparison"]
    assert report["equality"]["keras_reference"]["compared"] == 10_200
    assert report["latency"]["kind"] == "estimated"
    assert report["left_out"] == {} and said == ""
    assert [path.name for path in (place / "build/tiny-net/run").glob("*/report.html")]


def test_its_test_clips_are_made_where_it_runs(place, capsys, monkeypatch):
    clips = np.random.default_rng(1).integers(0, 256, (4, 5, NETWORK.inputs)).astype(np.uint8)
    labels = np.array([np.argmax(ReferenceModel(NETWORK).run(clip)[-1]) for clip in clips])
    made = ClipSet(clips, labels, NETWORK.classes)
    source = type("Source", (), {"preprocessing": NETWORK.preprocessing})
    source.load = lambda *_, **__: made
    monkeypatch.setattr(fdht_host.testset, "source_of", lambda data: source())
    assert run(capsys, "./sim", "--source", "test")[0]["accuracy"]["quantized"] == 1
    # What training measured is of other clips, and is not put beside that as if of the same.
    assert fdht.main(["run", "./sim", "--clips", "4", "--no-energy"]) == 0
    said = capsys.readouterr().out.splitlines()
    compared = stage_files.metrics()["accuracy"]["comparison"]
    own = said.index(next(line for line in said if line.startswith("quantised network, this run")))
    trained = said.index(f"in training, on {compared['clips']:,} test clips:")
    assert "100.0%  measured (4 of 4 clips right; chance" in said[own]
    assert own < trained < said.index(next(line for line in said if "its float twin" in line))
    assert not any(line.startswith("quantised network ") for line in said)


def test_a_build_that_holds_nothing_else(place, capsys):
    """The board is the only one that there is an overlay for."""
    write_video(place / "v.mkv")
    (place / "build" / "mine" / "overlay").mkdir(parents=True)
    (place / "sim").rename(place / "build" / "mine" / "overlay" / "sim")
    for options in ((), ("--board", "sim")):
        report, said = run(capsys, "mine", "--source", "v.mkv", *options)
        assert report["accuracy"]["float"] == 0.5 and said == ""
    assert len(list((place / "build" / "mine" / "run").iterdir())) == 2
    error = refusal(capsys, "mine", "--source", "v.mkv", "--board", "pynq-z2")
    assert "overlay/pynq-z2: holds no overlay; run fdht build mine --board pynq-z2, or" in error


def test_an_experiment_s_name_is_not_a_directory_s(place, capsys):
    """A name means one thing wherever one stands; with a slash it is the directory."""
    write_video(place / "v.mkv")
    (place / "sim").rename(place / "motion")
    assert "build/motion/overlay/sim: holds no overlay" in refusal(
        capsys, "motion", "--source", "v.mkv"
    )
    assert run(capsys, "./motion", "--source", "v.mkv")[0]["experiment"] == "tiny-net"


def test_another_board_is_refused(place, capsys):
    error = refusal(capsys, "./sim", "--board", "pynq-z2")
    assert "board = 'pynq-z2': is not that of the overlay, sim; leave it out" in error
    assert overlay_at(place / "sim", "sim").path == place / "sim" / "csim"


def test_what_is_no_overlay_is_refused(place, capsys):
    (place / "empty").mkdir()
    assert "empty: holds no overlay; name a copy of build/<name>/overlay" in refusal(
        capsys, "./empty"
    )
    assert "nothing" in refusal(capsys, "./nothing")
    with pytest.raises(ArtifactError, match=r"sim/open: was not built; use one of csim"):
        overlay_at(place / "sim", wanted="open")


@pytest.mark.parametrize(
    "name", ["network.json", "golden.npz", "csim.so", "tiny-net.bit", "experiment.json"]
)
def test_a_file_that_was_damaged_on_the_way_is_named(place, capsys, name):
    path = place / "sim" / "csim" / name
    path.write_bytes(path.read_bytes()[:-1])
    error = refusal(capsys, "./sim", "--source", "test")
    assert f"{name}: differs from its digest in the manifest; copy it again, or run fdht" in error
    path.unlink()
    assert f"{name}: is missing; copy it again" in refusal(capsys, "./sim", "--source", "test")
    assert not (place / "build").exists()


def test_a_manifest_that_was_changed_is_refused(place, capsys):
    manifest = place / "sim" / "csim" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"float": 0.5', '"float": 0.9'))
    assert "manifest.json: differs from the digest in it" in refusal(capsys, "./sim")


def test_clips_of_another_network_are_refused(place, capsys):
    """Put together by hand, digests and all: clips are read as the manifest says."""

    def change(manifest: dict[str, Any]) -> None:
        manifest["overlay"]["clips"]["frames"] += 1

    stage_files.reseal(place / "sim" / "csim", change)
    write_video(place / "v.mkv")
    error = refusal(capsys, "./sim", "--source", "v.mkv")
    assert "is of another network than the overlay" in error


def test_an_overlay_of_the_first_version_runs_and_says_what_it_lacks(place, capsys):
    write_video(place / "v.mkv")

    def former(manifest: dict[str, Any]) -> None:
        del manifest["digest"], manifest["overlay"]["clips"], manifest["overlay"]["figures"]
        del manifest["overlay"]["input"]["frames"], manifest["overlay"]["sparse_pace"]
        del manifest["overlay"]["input"]["frames_shown"], manifest["overlay"]["contexts"]
        manifest["overlay"]["schema_version"] = 1

    stage_files.reseal(place / "sim" / "csim", former)
    report, _ = run(capsys, "./sim", "--source", "v.mkv")
    assert report["accuracy"]["float"] is None
    assert report["equality"]["reference_board"]["mismatches"] == 0
    for section in ("accuracy", "parameters", "equality", "latency"):
        assert report["left_out"][section].endswith("into it; run fdht build again")
    with pytest.raises(ConfigError, match="board"):
        overlay_at(place / "sim", "kv260")

"""The main job on real frames of 57,600 values, with a small recipe: every stage, by its command.

Accuracy is no subject here; what the stages hand to each other, and equality, is.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import fdht
from fdht.cli import demo
from fdht_hls.equality import corner_frames, prove
from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.experiments import clip_of, load_design
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_models.directories import EXACT_LIBRARY, LIBRARY, BuildDirectory
from fdht_models.experiment import load_experiment
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.training import restore
from tests.stage_files import reseal

RECIPE = """
description = "a small recipe for the tests"

[data]
set = "motion"
train_clips = 66
test_clips = 22
seed = 1
test_seed = 2

[model]
input_modes = [10, 12, 20, 24]
output_modes = [8, 2, 2, 4]
hidden_box = [2, 2, 8]
leaf_rank = 3
inner_rank = 3
input_gain = 8.0

[training]
float_epochs = 1
quantized_epochs = 1
rate = 4e-3
quantized_rate = 1e-3
batch = 11
seed = 0
"""


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A build directory with a trained, converted and built experiment `small`."""
    directory = tmp_path_factory.mktemp("build")
    recipe = directory / "small.toml"
    recipe.write_text(RECIPE)
    assert fdht.main(["train", str(recipe), "--build", str(directory)]) == 0
    assert fdht.main(["convert", "small", "--build", str(directory)]) == 0
    assert fdht.main(["build", "small", "--build", str(directory)]) == 0
    return directory


@pytest.fixture(scope="module")
def video(build):
    """Encoded test clips with labels beside them."""
    return demo.encode_demo_video(load_experiment(build / "small.toml"), build)


def run(capsys, build, *arguments):
    """`fdht run small`: (exit code, report or None, standard error)."""
    capsys.readouterr()
    code = fdht.main(["run", "small", "--build", str(build), "--json", *arguments])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if code == 0 else None, captured.err


def test_conversion_proves_equality_on_ten_thousand_integers(build):
    equality = json.loads((build / "small/hls/equality.json").read_text())
    assert equality["frames_per_stream"] >= 50
    for pair in ("keras_reference", "reference_csim_exact", "reference_csim"):
        assert equality[pair]["compared"] >= 10_000
        assert equality[pair]["mismatches"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whole_clips_are_equal_in_keras_reference_c_simulation_and_rtl(build):
    """A clip of the data and one of corner cases, the same frames through all four."""
    model, hls = build / "small/model", build / "small/hls"
    network, plan = load_design(BuildDirectory(build / "small"), None)
    clip = clip_of(BuildDirectory(build / "small"), network, 24, seed=17)
    streams = np.stack([clip, corner_frames(network, len(clip))])
    libraries = {"csim": hls / LIBRARY, "csim_exact": hls / EXACT_LIBRARY}
    keras = restore(model, return_sequences=True, stateful=True, batch=len(streams))
    results = prove(network, keras, libraries, streams, lambda *_: None)
    assert {
        name: (one.quantities["logits"], one.mismatches) for name, one in results.items()
    } == dict.fromkeys(
        ("keras_reference", "reference_csim", "reference_csim_exact"), (2 * 24 * 11, 0)
    )
    for stream in streams:
        rtl = cosim(network, plan, stream, build / "cores", RunSettings())
        assert (rtl.comparison.compared, rtl.comparison.mismatches) == (24 * 11, 0)
        assert rtl.cycles_per_frame <= 7350 and rtl.last_pixel_to_result <= 650


def test_the_identity_is_one_from_training_to_board(build):
    network = QuantizedNetwork.load(build / "small/model/network.json")
    expected = f"{network.design_id:016x}"
    for stage in ("model", "hls"):
        manifest = json.loads((build / "small" / stage / "manifest.json").read_text())
        assert manifest["design_id"] == expected
    overlay = json.loads((build / "small/overlay/sim/csim/manifest.json").read_text())
    assert overlay["overlay"]["design_id"] == expected


def test_a_second_call_does_nothing(build, capsys):
    for stage in ("train", "convert", "build"):
        name = str(build / "small.toml") if stage == "train" else "small"
        assert fdht.main([stage, name, "--build", str(build), "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert stage == "train" or not found["fresh"]


def test_run_streams_test_set_and_video_and_measures(build, video, capsys):
    code, report, _ = run(capsys, build, "--source", "test", "--source", str(video))
    assert code == 0
    assert report["run_on_hardware"] is False
    board = report["equality"]["reference_board"]
    # 22 clips of 7 frames, and the video's 33 of 7, with 11 logits each.
    assert board == {"compared": (22 + 33) * 7 * 11, "mismatches": 0}
    assert report["equality"]["keras_reference"]["mismatches"] == 0
    assert report["equality"]["reference_csim"]["compared"] >= 10_000
    metrics = json.loads((build / "small/model/metrics.json").read_text())
    # The board classifies the same clips by the same integers as the reference did.
    assert report["accuracy"]["quantized"] == metrics["accuracy"]["quantized"]
    assert np.sum(report["accuracy"]["confusion"]) == 22
    assert report["accuracy"]["chance"] == pytest.approx(1 / 11)
    assert report["energy"]["kind"] == "modelled"
    # Between the model's idle and active power, times the modelled time of a frame.
    cycles = report["latency"]["cycles_per_frame"]
    seconds = cycles / (report["latency"]["clock_mhz"] * 1e6)
    assert 2.0 * seconds < report["energy"]["value_mj_per_frame"] / 1e3 < 3.0 * seconds
    assert report["cpu_energy"]["kind"] in ("measured", "unmeasured", "refused")
    assert report["video"]["labelled"] == 33
    for phase in ("decode", "resize", "pack", "transfer", "compute", "unpack", "overall"):
        assert report["throughput"][phase]["frames_per_second"] > 0
    written = sorted((build / "small/run").glob("*/report.json"))
    assert json.loads(written[-1].read_text()) == report
    page = written[-1].with_name("report.html").read_text()
    assert "modelled" in page
    assert "not run on hardware" in page.lower()


#: `fdht` on a board: nothing of what a workstation needs can be imported.
ON_A_BOARD = """
import sys

for name in ("tensorflow", "tf_keras", "keras", "qkeras", "hls4ml"):
    sys.modules[name] = None
import fdht

sys.exit(fdht.main(sys.argv[1:]))
"""


def test_an_overlay_s_directory_alone_is_run(build, video, tmp_path):
    """On a board's disk: the copied directory and a video, in a process without TensorFlow."""
    shutil.copytree(build / "small/overlay/sim", tmp_path / "sim")
    shutil.copyfile(video, tmp_path / "v.mkv")
    arguments = ["run", "./sim", "--source", "test", "--source", "v.mkv", "--json"]
    paths = os.pathsep.join(map(os.path.abspath, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", ON_A_BOARD, *arguments],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "train" not in done.stderr and "convert" not in done.stderr
    report = json.loads(done.stdout)
    metrics, equality, estimate = (
        json.loads((build / "small" / name).read_text())
        for name in ("model/metrics.json", "hls/equality.json", "hls/estimate.json")
    )
    assert report["left_out"] == {}
    assert report["equality"]["reference_board"]["mismatches"] == 0
    assert report["equality"]["keras_reference"] == equality["keras_reference"]
    assert report["equality"]["reference_csim"] == equality["reference_csim_exact"]
    # The same test clips as in training, made here.
    assert np.sum(report["accuracy"]["confusion"]) == 22
    for key in ("quantized", "float", "single_frame", "baselines", "comparison"):
        assert report["accuracy"][key] == metrics["accuracy"][key]
    assert report["parameters"]["dense_lstm"] == metrics["parameters"]["dense_lstm"]
    assert report["latency"]["resources"] == estimate["resources"]
    assert report["energy"]["kind"] == "modelled" and report["energy"]["value_mj_per_frame"] > 0
    assert report["video"]["file"] == "v.mkv"
    assert (tmp_path / "build/small/run").is_dir()
    held = {path.name for path in (tmp_path / "sim/csim").iterdir()}
    assert {"network.json", "golden.npz", "schedule.json", "experiment.json"} <= held


def test_a_video_without_labels_keeps_its_state_if_asked(build, video, capsys, tmp_path):
    plain = tmp_path / "plain.mkv"
    shutil.copyfile(video, plain)
    options = ["--source", str(plain), "--no-energy"]
    code, report, _ = run(capsys, build, *options, "--clip-frames", "0")
    assert code == 0
    assert report["equality"]["reference_board"]["mismatches"] == 0
    assert report["video"]["labelled"] == 0
    assert report["energy"]["kind"] == "not run"
    code, chopped, _ = run(capsys, build, *options)
    assert code == 0
    assert {one["inputs"] for one in chopped["video"]["predictions"][:-1]} == {7}


@pytest.mark.parametrize("kind", ["missing", "unreadable", "empty", "wrong size"])
def test_a_bad_video_is_one_line_and_writes_nothing(build, capsys, tmp_path, kind):
    from fdht_host.video import encode

    path = tmp_path / "bad.mkv"
    options = []
    if kind == "unreadable":
        path.write_bytes(b"this is not a video" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "wrong size":
        encode(path, np.zeros((4, 60, 80, 3), np.uint8), 25)
        options = ["--no-resize"]
    runs = set((build / "small").glob("run/*"))
    code, _, error = run(capsys, build, "--source", str(path), *options)
    assert code == 2
    assert error.strip().splitlines()[-1].startswith("fdht: ")
    assert "bad.mkv" in error
    assert set((build / "small").glob("run/*")) == runs


def test_a_bitstream_of_another_model_is_refused(build, capsys, tmp_path):
    other = tmp_path / "build"
    shutil.copytree(build / "small", other / "small")
    shutil.rmtree(other / "small/hls")  # so that the overlay is not brought up to date
    overlay = other / "small/overlay/sim/csim"
    shown = json.loads((overlay / "manifest.json").read_text())["overlay"]["design_id"]
    reseal(overlay, lambda value: value["overlay"].update(design_id="0123456789abcdef"))
    code, _, error = run(capsys, other, "--source", "test", "--no-energy")
    assert code == 2
    assert shown in error or "design" in error
    assert "0123456789abcdef" in error


def test_the_project_holds_what_vitis_needs(build):
    project = build / "small/hls/project"
    core = (project / "firmware/fdht_lstm.cpp").read_text()
    assert "#pragma HLS DATAFLOW" in core
    assert "set_top fdht_lstm" in (project / "build_core.tcl").read_text()
    frames = (project / "tb_data/frames.hex").read_text().split()
    assert len(frames) % 7200 == 0

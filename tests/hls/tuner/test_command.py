"""`fdht tune` as a user calls it."""

from __future__ import annotations

import json
import math

import pytest

import fdht
from fdht_models.experiment import ZOO


def test_tune_prints_and_writes(tmp_path, capsys):
    arguments = ["tune", "motion", "--build", str(tmp_path), "--frames-per-second", "13600"]
    assert fdht.main(arguments) == 0
    text = capsys.readouterr().out
    assert "motion (declared widths, not trained) on pynq-z2" in text
    assert "Pareto front" in text and "<- chosen" in text and "cell" in text
    assert "fdht convert motion --schedule" in text
    assert (tmp_path / "motion" / "tune" / "pynq-z2" / "schedule.json").is_file()


def test_tune_as_json(tmp_path, capsys):
    arguments = ["tune", "motion", "--build", str(tmp_path), "--frames-per-second", "13600"]
    assert fdht.main([*arguments, "--latency", "650", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "estimated" and found["chosen"]["fill_latency_cycles"] <= 650
    assert found["chosen"]["cycles_per_frame"] <= 7350


def test_tune_for_the_frames_of_training_clips(tmp_path, capsys):
    arguments = ["tune", "motion", "--build", str(tmp_path), "--core", "rtl", "--clips", "2"]
    assert fdht.main([*arguments, "--frames-per-second", "13000", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["clips"]["frames"] == 14
    assert found["chosen"]["schedule"]["frames"] == "sparse"
    assert found["chosen"]["cycles_per_frame"] <= 100e6 / 13000
    frame = found["clips"]["clocks"]["frame"]
    assert found["chosen"]["cycles_per_frame"] == math.ceil(frame["spread"]["mean"])
    assert found["cycles_of"] == "mean of the clips" and found["clips"]["clips"] == 2
    assert found["planned_for"].startswith("for frames like those of 2 training clips: 14 frames")
    assert (tmp_path / "motion" / "tune" / "pynq-z2" / "profile.json").is_file()


def test_a_core_that_computes_the_feature_is_tuned_for_clips_too(tmp_path, capsys):
    """Issue: --clips silently tuned for sparse frames where the experiment names the chip."""
    recipe = tmp_path / "chip.toml"
    recipe.write_text((ZOO / "motion.toml").read_text() + '\n[core]\nfeature = "chip"\n')
    arguments = ["tune", str(recipe), "--build", str(tmp_path / "build"), "--json"]
    assert fdht.main([*arguments, "--frames-per-second", "13000", "--clips", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["chosen"]["schedule"]["frames"] == "raw"
    assert found["clips"]["frames"] == 14 and found["clips"]["mean_words"] == 7200
    frame = found["clips"]["clocks"]["frame"]
    assert frame["spread"]["mean"] >= found["clips"]["clocks"]["read frame"]["full"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--board", "pynq-z9"], "pynq-z2"),
        (["--assume", "int8-pair"], "did you mean 'int8-pairs'"),
        (["--budget", "7"], "budget = '7': must be a part of the device"),
        (["--port-bytes", "16"], "a port of pynq-z2 delivers 8 bytes a clock"),
        (["--frames-per-second", "20000"], "read frame takes 7,240"),
        (["--candidates", "3"], "candidates = 3: belongs to --explore"),
        (["--parameters", "900"], "parameters = 900: belongs to --explore"),
        (["--core", "rlt"], "core = 'rlt': must be hls or rtl"),
        (["--core", "rtl", "--latency", "650"], "latency = 650: is not known of the core in RTL"),
        (["--core", "rtl", "--assume", "int8-pairs"], "is nothing that the core in RTL does"),
        (["--core", "rtl", "--explore"], "shapes are explored for the core in C++"),
        (["--core-frames", "dense", "--clips", "5"], "clips = 5: is for a core that skips zeros"),
        (["--feature", "host", "--clips", "5"], "use --core-frames sparse or --feature chip"),
        (["--budget", "lut=0.5,lut=0.6"], "budget = 'lut': is given twice"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, options, message):
    assert fdht.main(["tune", "motion", "--build", str(tmp_path), *options]) == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.strip().splitlines()) == 1
    assert not (tmp_path / "motion").exists()

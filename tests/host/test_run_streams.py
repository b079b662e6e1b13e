"""`fdht run --protocol`: files as live streams, frame by frame, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fdht
from fdht_host import video
from fdht_host.answers import Reading, probabilities_of, vote
from fdht_host.video.labels import write_labels
from fdht_models.artifacts import digest_file
from fdht_models.features import features_of
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, Sound, Values
from fdht_models.preprocessing.log_mel import frame_energies, log_mel, sound_parts
from fdht_models.preprocessing.recording import loudness
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.reference import ReferenceModel
from tests.host.builds import NETWORK, reference_as_core, write_build, write_video
from tests.host.test_run_clips import run, write_clip
from tests.models.folders_samples import random_frames
from tests.models.folders_samples import write_video as write_sample

PICTURE = Picture(4, 5, "motion_energy", dead_zone=20)


def seen(protocol: str, time_step: float | None = None, stride: int = 1) -> Preprocessing:
    return Preprocessing(Sampling(protocol, 6, stride, time_step=time_step), picture=PICTURE)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Preprocessing], Path]:
    """Makes build/tiny-net of a network that was trained so."""

    def make(preprocessing: Preprocessing) -> Path:
        network = replace(NETWORK, preprocessing=preprocessing)
        reference_as_core(monkeypatch, network)
        return write_build(tmp_path / "build", network)

    return make


def logits_of(inputs: np.ndarray) -> list[int]:
    return [int(code) for code in ReferenceModel(NETWORK).run(inputs)[-1]]


def pictures_of(path: Path) -> np.ndarray:
    """All frames in the size of the network."""
    return np.stack(list(video.decode(path, 4, 5)))


def expected_blocks(features: np.ndarray, stride: int, block: int) -> list[tuple[int, list[int]]]:
    return [
        (start * stride, logits_of(features[start : start + block]))
        for start in range(0, len(features), block)
    ]


def blocks_of(report: dict[str, Any]) -> list[tuple[int, list[int]]]:
    (clip,) = report["clips"]
    return [(block["start"], block["logits"]) for block in clip["blocks"]]


@pytest.mark.parametrize(
    ("preprocessing", "protocol", "stride", "told"),
    [
        # 25 frames a second: 0.12 s are three of them.
        (seen("uniform", 0.12), "stream", 3, "every 3rd frame is taken, 120 ms apart; trained on "
         "frames spread over each clip, a median of 120 ms"),
        (seen("stride", 0.12, 2), "stream", 3, "every 3rd frame is taken, 120 ms apart"),
        (seen("stride", None, 4), "stream", 4, "160 ms apart; trained on every 4th frame"),
        (seen("uniform", 0.4), "every", 1, "inputs are 40 ms apart, trained on frames spread over "
         "each clip, a median of 400 ms; --protocol stream or trained keeps what was learned"),
        (seen("stride", None, 4), "every", 1, "40 ms apart, trained on every 4th frame"),
        (seen("consecutive", 0.04), "every", 1, None),
        (seen("generated"), "every", 1, None),
        (seen("generated"), "trained", 1, None),
    ],
)  # fmt: skip
def test_frames_are_taken_at_the_trained_distance(
    tmp_path, build, preprocessing, protocol, stride, told
):
    """Dead zone and all; blocks are as long as a trained clip."""
    path = write_video(tmp_path / "v.mkv", 40)
    report = run(build(preprocessing), path, protocol=protocol)
    features = features_of("motion_energy", pictures_of(path)[::stride], 20)
    assert (features == 0).any() and not (features == 0).all()
    assert blocks_of(report) == expected_blocks(features, stride, 6)
    (clip,) = report["clips"]
    assert (clip["protocol"], clip["stride"]) == (protocol, stride)
    assert clip["time_step"] == pytest.approx(stride / 25)
    assert (clip["frames_used"], clip["frames_there"]) == (len(features) + 1, 40)
    assert report["equality"]["reference_board"]["mismatches"] == 0
    notes = report["sources"][0]["notes"]
    assert len(notes) == (told is not None)
    assert told is None or told in notes[0]
    for phase, count in (("decode", 40), ("resize", len(features) + 1), ("read", 0)):
        assert report["throughput"][phase]["frames"] == count


def test_one_stretch_of_a_long_file_is_told(tmp_path, build):
    path = write_video(tmp_path / "v.mkv", 40)
    for preprocessing, told in (
        (seen("stride", 0.08, 2), ["7 of 40 frames of v.mkv were looked at, one stretch as in "
                                   "training; --protocol stream looks at all"]),
        (seen("stride", 0.16, 4), []),  # 25 of 40
        (seen("uniform", 0.12), []),  # all over the file
    ):  # fmt: skip
        report = run(build(preprocessing), path)
        assert report["sources"][0]["notes"] == told
        assert report["throughput"]["read"]["frames"] == 6
        assert report["throughput"]["decode"]["frames"] == 0


def test_a_block_length_of_ones_own(tmp_path, build):
    path = write_video(tmp_path / "v.mkv", 40)
    report = run(build(seen("stride", 0.08, 2)), path, protocol="stream", clip_frames=4)
    features = features_of("motion_energy", pictures_of(path)[::2], 20)
    assert blocks_of(report) == expected_blocks(features, 2, 4)
    (clip,) = report["clips"]
    assert [block["votes"] for block in clip["blocks"]] == [True, True, True, True, False]


def test_labels_beside_a_video_and_a_stride(tmp_path, build):
    """The count of frames begins anew with each clip; no frame is compared with another clip's."""
    path = write_video(tmp_path / "v.mkv", 40, labelled=True)
    report = run(build(seen("uniform", 0.12)), path, protocol="stream")
    pictures = pictures_of(path)
    for number, clip in enumerate(report["clips"]):
        frames = pictures[10 * number : 10 * number + 10 : 3]
        (block,) = clip["blocks"]
        assert block["logits"] == logits_of(features_of("motion_energy", frames, 20))
        assert (clip["start"], clip["label"]) == (10 * number, NETWORK.classes[0])
        assert (clip["frames_used"], clip["frames_there"]) == (4, 10)
    assert len(report["clips"]) == report["sources"][0]["accuracy"]["clips"] == 4


def test_arrays_are_streams_of_rows(tmp_path, build):
    codes = np.random.default_rng(0).integers(1, 256, (20, 60)).astype(np.uint8)
    np.save(tmp_path / "a.npy", codes)
    sampling = Sampling("stride", 6, 3)
    for protocol, stride in (("stream", 3), ("every", 1)):
        directory = build(Preprocessing(sampling, values=Values(60)))
        report = run(directory, tmp_path / "a.npy", protocol=protocol)
        assert blocks_of(report) == expected_blocks(codes[::stride], stride, 6)
        assert report["clips"][0]["time_step"] is None
    # A network of clips without files, as the generated sets are.
    report = run(build(Preprocessing(Sampling("generated", 6), values=Values(60))),
                 tmp_path / "a.npy")  # fmt: skip
    assert blocks_of(report) == expected_blocks(codes, 1, 6)


def test_rows_of_arrays_have_the_trained_stride_also_without_a_rate(tmp_path, build):
    codes = np.random.default_rng(0).integers(1, 256, (20, 60)).astype(np.uint8)
    np.save(tmp_path / "a.npy", codes)
    directory = build(Preprocessing(Sampling("uniform", 6), values=Values(60)))
    report = run(directory, tmp_path / "a.npy", protocol="stream")
    assert blocks_of(report) == expected_blocks(codes, 1, 6)
    (note,) = report["sources"][0]["notes"]
    assert "no frame rate, so the stride is the trained one" in note


def test_notes_on_streams_say_which_files(tmp_path, build):
    for name, rate in (("a", 10), ("b", 25), ("c", 25)):
        frames = random_frames(30, 1, 16, 16)
        (tmp_path / "all").mkdir(exist_ok=True)
        write_sample(tmp_path / "all" / f"{name}.avi", frames, rate=rate)
    report = run(build(seen("stride", 0.2, 2)), tmp_path / "all", protocol="stream")
    assert [note.split(" is taken")[0] for note in report["sources"][0]["notes"]] == [
        "of a.avi every 2nd frame", "of b.avi and 1 more every 5th frame",
    ]  # fmt: skip


def test_labels_of_classes_that_the_network_does_not_have(tmp_path, build, capsys):
    directory = build(seen("generated"))
    path = write_video(tmp_path / "all" / "v.mkv", 40)
    labels = [video.Clip(0, 20, 0), video.Clip(20, 20, 1)]
    write_labels(path, labels, (NETWORK.classes[0], "jump"), 40, digest_file(path))
    arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), "--no-energy"]
    for source in (path, path.parent):
        assert fdht.main([*arguments, "--source", str(source)]) == 2
        error = capsys.readouterr().err
        assert "'jump': is no class of the network" in error and error.count("\n") == 1
    assert not (directory / "run").exists()


def test_a_block_length_beside_labels_is_refused(tmp_path, build, capsys):
    build(seen("generated"))
    path = write_video(tmp_path / "v.mkv", 40, labelled=True)
    arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(path), "--clip-frames", "4"]) == 2
    assert "clip-frames = 4: has no effect on a video with labels" in capsys.readouterr().err


def test_a_source_is_named_once(tmp_path, build, capsys):
    build(seen("generated"))
    path = write_video(tmp_path / "v.mkv", 40)
    arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), "--no-energy"]
    for pair in (("test", "test"), (path, path.parent / ".." / tmp_path.name / path.name)):
        named = [text for name in pair for text in ("--source", str(name))]
        assert fdht.main([*arguments, *named]) == 2
        assert "is named twice; name it once" in capsys.readouterr().err


def test_sound_is_a_stream_of_stretches_one_behind_the_other(tmp_path, build):
    """All of its frames, at the level that the recording as a whole is brought to."""
    path = write_clip(tmp_path / "s.wav", "sound", 3, frames=70)
    sound = Sound(20, 3, level=-30.0, floor=-80.0, trim=20.0)
    report = run(build(Preprocessing(Sampling("window", 6), sound=sound)), path, protocol="stream")
    (clip,) = report["clips"]
    samples = np.concatenate([*sound_parts(path)])
    gain = -30.0 - loudness(frame_energies(samples, 20))
    codes = log_mel(samples, 20, -80.0, gain)
    # 68 frames of 10 ms: three blocks of 18 frames, and one of 14, which are five inputs.
    assert len(codes) == 68
    last = np.concatenate([np.zeros((1, 20), np.uint8), codes[54:]])
    parts = [*codes[:54].reshape(3, 6, 60), last.reshape(5, 60)]
    assert blocks_of(report) == [
        (18 * place, logits_of(np.ascontiguousarray(part))) for place, part in enumerate(parts)
    ]
    assert [block["votes"] for block in clip["blocks"]] == [True, True, True, False]
    assert (clip["frames_used"], clip["frames_there"], clip["time_step"]) == (68, 68, 0.03)


@pytest.mark.parametrize(
    ("preprocessing", "options", "told"),
    [
        (seen("uniform"), ["--clip-frames", "3"], "clip-frames = 3: has no effect on --protocol"),
        (seen("uniform"), ["--no-resize"], "no-resize = True: has no effect on --protocol trained"),
        (seen("uniform"), ["--protocol", "live"], "protocol = 'live': is not known; use trained"),
        (seen("uniform"), ["--protocol", "stream"], "training clips state no frame rate"),
        (seen("generated"), ["--clips", "3"], "clips = 3: is of test clips; add --source test"),
        (seen("generated"), ["--seed", "3"], "seed = 3: is of test clips"),
        (seen("generated"), ["--protocol", ""], "protocol = '': is not known"),
        (seen("generated"), ["--source", ""], "source = '': is empty; name a file"),
        (Preprocessing(Sampling("window", 6), sound=Sound(20, 3)),
         ["--protocol", "stream", "--no-resize"], "no-resize = True: is for videos"),
        (Preprocessing(Sampling("window", 6), sound=Sound(20, 3)), ["--protocol", "every"],
         "protocol = 'every': is for frames of video and rows of arrays"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(tmp_path, build, capsys, preprocessing, options, told):
    directory = build(preprocessing)
    kind = "sound" if preprocessing.sound else "video"
    path = write_clip(tmp_path / ("v.wav" if kind == "sound" else "v.avi"), kind, 1)
    arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(path), *options]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (directory / "run").exists()


def test_options_of_files_without_a_file(tmp_path, build, capsys):
    build(seen("generated"))
    for option in (["--protocol", "every"], ["--clip-frames", "3"], ["--no-resize"]):
        arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), *option]
        assert fdht.main(arguments) == 2
        assert "has no effect on --source test" in capsys.readouterr().err


def test_a_labelled_video_of_a_network_that_reads_clips(tmp_path, build, capsys):
    build(seen("uniform", 0.12))
    path = write_video(tmp_path / "v.mkv", 40, labelled=True)
    arguments = ["run", "tiny-net", "--build", str(tmp_path / "build"), "--no-energy"]
    assert fdht.main([*arguments, "--source", str(path)]) == 2
    assert "has labels beside it" in capsys.readouterr().err


# Probabilities ------------------------------------------------------------------------------------


def test_probabilities_are_the_softmax_of_what_the_codes_stand_for():
    """Against whole powers: logits of 0, ln 2 and ln 4 in the finest steps that fit."""
    form = FixedPoint(32, 28)
    logits = form.quantize(np.log([1.0, 2.0, 4.0]))
    # Half a step of the codes moves a logit by 2**-29, and a share by less than that.
    np.testing.assert_allclose(probabilities_of(logits, form), np.array([1, 2, 4]) / 7, atol=2**-28)
    huge = np.array([[2**31 - 1, -(2**31)]])
    np.testing.assert_array_equal(probabilities_of(huge, FixedPoint(32, 0)), [[1.0, 0.0]])


def test_the_vote_is_the_mean_and_not_the_majority():
    """Two blocks lean to one class by a hair, one is sure of the other."""
    form = FixedPoint(12, 4)
    readings = [Reading(k, 5, np.array(pair)) for k, pair in enumerate([(1, 0), (1, 0), (0, 64)])]
    found = vote(readings, ("a", "b"), form)
    assert (found.predicted, found.agreed) == ("b", 1)
    assert [block.predicted for block in found.blocks] == ["a", "a", "b"]
    # A block that is too short does not vote, unless there is no other.
    short = replace(readings[2], whole=False)
    found = vote([*readings[:2], short], ("a", "b"), form)
    assert (found.predicted, found.agreed) == ("a", 2)
    assert [block.votes for block in found.blocks] == [True, True, False]
    assert vote([short], ("a", "b"), form).blocks[0].votes
    # Equal ones: the first, as `argmax` of the logits says.
    assert vote([Reading(0, 5, np.array([3, 3]))], ("a", "b"), form).predicted == "a"

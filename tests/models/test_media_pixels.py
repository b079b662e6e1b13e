"""Which pixels are shown, in which colours, and that they are the same integers everywhere."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_host import video
from fdht_models.data.folders import Clip, FolderRequest
from fdht_models.errors import DataError
from fdht_models.media import pixels
from fdht_models.media.orientation import UPRIGHT, Orientation, read_matrix
from tests.models.folders_samples import read_of
from tests.models.media_samples import HEIGHT, QUARTER_TURN, WIDTH, moving, turn, write


def shown(path: Path, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.stack(list(video.decode(path, height, width)))


# Turned pictures ---------------------------------------------------------------------------------

ONE = 65536
TURNS = {
    "clockwise": (QUARTER_TURN, lambda p: np.rot90(p, -1)),
    "counter-clockwise": ((0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda p: np.rot90(p, 1)),
    "upside down": ((-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), lambda p: np.rot90(p, 2)),
    "mirrored": ((-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30), np.fliplr),
    "flipped": ((ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30), np.flipud),
    "transposed": ((0, ONE, 0, ONE, 0, 0, 0, 0, 1 << 30), lambda p: p.swapaxes(0, 1)),
}


@pytest.mark.parametrize("name", TURNS)
def test_a_picture_is_turned_as_its_file_says(name: str, tmp_path: Path) -> None:
    matrix, expected = TURNS[name]
    path = write(tmp_path / "x.mp4", moving(4))
    lying = shown(path)
    turn(path, matrix)
    wanted = np.stack([expected(picture) for picture in lying])
    height, width = wanted.shape[1:3]
    np.testing.assert_array_equal(shown(path, height, width), wanted)
    info = video.probe(path)
    assert (info.height, info.width) == (height, width)
    assert len(list(video.decode(path, height, width, strict_size=True))) == 4
    request = FolderRequest(
        "ucf11", tmp_path, protocol="tt_rnn", steps=4, height=height, width=width
    ).complete()
    found = read_of(request, Clip("k", path.name, (0,))).values
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)


def test_our_matrices_are_ffmpegs() -> None:
    """A corner of a picture lands where FFmpeg's own angle, counter-clockwise, puts it."""
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    for degrees in (-90, 90, 180):
        frame = av.VideoFrame(16, 16, "rgb24")
        if not hasattr(frame, "rotation"):
            pytest.skip("needs a newer PyAV")
        turned = {-90: QUARTER_TURN, 90: TURNS["counter-clockwise"][0]}
        matrix = turned.get(degrees, TURNS["upside down"][0])
        found = read_matrix(struct.pack("=9i", *matrix)).apply(picture)
        np.testing.assert_array_equal(found, np.rot90(picture, degrees // 90))
    assert read_matrix(bytes(36)) == UPRIGHT


def test_an_odd_angle_is_refused(tmp_path: Path) -> None:
    angle = (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)  # 45 degrees
    path = turn(write(tmp_path / "x.mp4", moving(4)), angle)
    for call in (lambda: video.probe(path), lambda: shown(path)):
        with pytest.raises(DataError, match=r"frame 0: cannot be shown .*multiple of 90") as error:
            call()
        assert "\n" not in str(error.value)
    nearly = (40, ONE, 0, -ONE, -40, 0, 0, 0, 1 << 30)  # as a sine rounds
    assert read_matrix(struct.pack("=9i", *nearly)).transposed


def test_a_size_that_changes_is_seen_at_its_frame(tmp_path: Path) -> None:
    parts = [
        write(tmp_path / "a.h264", moving(6), bf="0"),
        write(tmp_path / "b.h264", moving(6, 36, 48), bf="0"),
    ]
    path = tmp_path / "ab.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert len(shown(path)) == 12  # resized from frame 6 on
    stream = video.decode(path, HEIGHT, WIDTH, strict_size=True)
    for _ in range(6):
        next(stream)
    with pytest.raises(DataError, match="from frame 6 on = '48x36': the model wants 64x48"):
        next(stream)


# Colours -----------------------------------------------------------------------------------------


#: AVColorSpace -> the parts of red and blue in Y' (ITU-R BT.601, BT.709, BT.2020).
PARTS = {5: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}


def to_yuv(pixels: np.ndarray, space: int, colour_range: int) -> np.ndarray:
    """Y, Cb and Cr by their definition: uint8 [3, H, W]; range 1 is limited, 2 is full."""
    red, green, blue = np.moveaxis(pixels / 255, 2, 0)
    of_red, of_blue = PARTS[space]
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    from_blue, from_red = (blue - luma) / (2 - 2 * of_blue), (red - luma) / (2 - 2 * of_red)
    first, steps, chroma_steps = (16, 219, 224) if colour_range == 1 else (0, 255, 255)
    planes = [first + steps * luma, 128 + chroma_steps * from_blue, 128 + chroma_steps * from_red]
    return np.rint(np.clip(planes, 0, 255)).astype(np.uint8)


def tagged(path: Path, space: int, colour_range: int, frames: np.ndarray) -> Path:
    """Lossless YUV 4:4:4 that says which matrix and range it is in."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv444p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, colour_range
        for pixels in frames:
            planes = to_yuv(pixels, space, colour_range)
            frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
            frame.colorspace, frame.color_range = space, colour_range
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.mark.parametrize(("space", "colour_range"), [(5, 1), (5, 2), (1, 1), (1, 2), (9, 1)])
def test_matrix_and_range_are_the_frames_own(space: int, colour_range: int, tmp_path: Path) -> None:
    frames = moving(2)
    path = tagged(tmp_path / "x.mkv", space, colour_range, frames)
    # Two roundings to 8 bits: of Y, U and V (the range of Y has 219 steps, of U and V 224, and the
    # largest factor from U or V to a colour is 2.2), and of the result.
    assert np.abs(shown(path).astype(int) - frames).max() <= 2


def test_without_a_word_about_colours_they_are_bt601_of_limited_range(tmp_path: Path) -> None:
    """Compared with the definition: Y' = 16 + 219 (0.299 R + 0.587 G + 0.114 B) and so on."""
    rows = np.array([[81, 90, 240], [145, 54, 34], [41, 240, 110], [235, 128, 128]], np.uint8)
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 16, 16, "yuv444p"
        for row in rows:
            frame = av.VideoFrame(16, 16, "yuv444p")
            for plane, value in zip(frame.planes, row, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    luma, blue, red = (rows.astype(float) - (16, 128, 128)).T
    expected = 255 * np.stack(
        [
            luma / 219 + 1.402 * red / 224,
            luma / 219 - 0.344136 * blue / 224 - 0.714136 * red / 224,
            luma / 219 + 1.772 * blue / 224,
        ],
        axis=1,
    )
    found = shown(path, 16, 16)
    assert np.ptp(found, axis=(1, 2)).max() == 0
    assert np.abs(found[:, 0, 0] - expected.clip(0, 255)).max() <= 1  # one rounding


def test_colours_that_no_matrix_gives_are_refused(tmp_path: Path) -> None:
    path = tagged(tmp_path / "x.mkv", 1, 1, moving(2))
    data = path.read_bytes()
    element = b"\x55\xb1\x81\x01"  # Matroska's MatrixCoefficients
    assert data.count(element) == 1
    path.write_bytes(data.replace(element, b"\x55\xb1\x81\x08"))  # YCgCo
    with pytest.raises(DataError, match=r"frame 0: cannot be shown .*kind 8"):
        shown(path)


# The same integers on every processor -------------------------------------------------------------

CHILD = """
import ctypes, hashlib, json, sys
from pathlib import Path
import av, numpy as np
plain, names = json.loads(sys.argv[1])
if plain:
    for line in open("/proc/self/maps"):
        if "libavutil" in line:
            ctypes.CDLL(line.split()[-1]).av_force_cpu_flags(0)
            break
    else:
        sys.exit("no libavutil")
from fdht_models.media import PixelConverter, VideoFile
def digest(arrays):
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
seen = {}
for name in names:
    path = Path(name)
    for height, width in ((48, 64), (24, 40), (60, 90)):
        converter = PixelConverter(path, height, width)
        with VideoFile(path) as file:
            frames = list(file.frames())
        seen[f"{path.name} {width}x{height}"] = digest(
            converter.convert(frame, k) for k, frame in enumerate(frames)
        )
    with av.open(name) as container:
        seen[f"{path.name} careless"] = digest(
            frame.reformat(width=64, height=48, format="rgb24").to_ndarray()
            for frame in container.decode(video=0)
        )
print(json.dumps(seen))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="finds PyAV's libavutil in /proc")
def test_pixels_are_the_same_with_and_without_vector_code(tmp_path: Path) -> None:
    """FFmpeg can be told that the processor has no vector code, which then runs its plain C."""
    noise = moving(5)
    noise[:, 20:] = np.random.default_rng(0).integers(0, 256, noise[:, 20:].shape)
    names = [
        str(write(tmp_path / f"{codec}-{pixels}.{suffix}", noise, codec, pixels))
        for codec, pixels, suffix in (
            ("libx264", "yuv420p", "mp4"),
            ("mpeg4", "yuv420p", "avi"),
            ("mpeg1video", "yuv420p", "mpg"),
            ("mjpeg", "yuvj420p", "avi"),
            ("ffv1", "yuv422p", "mkv"),
            ("ffv1", "yuv444p10le", "mkv"),
            ("ffv1", "bgr0", "mkv"),
        )
    ]
    found = []
    for plain in (False, True):
        done = subprocess.run(
            [sys.executable, "-c", CHILD, json.dumps([plain, names])],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    vector, plain_code = found
    ours = {name for name in vector if not name.endswith("careless")}
    assert len(ours) == 21
    assert {name: vector[name] for name in ours} == {name: plain_code[name] for name in ours}
    # The switch works: a careless conversion of a frame that keeps its size differs.
    careless = "libx264-yuv420p.mp4 careless"
    assert vector[careless] != plain_code[careless]


# Nothing to convert -------------------------------------------------------------------------------


@pytest.mark.parametrize("turned", [False, True])
def test_an_rgb_frame_of_the_right_size_passes_no_filter(
    turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And comes out as the filter gives it; rows of 13 pixels lie further apart in FFmpeg."""
    picture = np.random.default_rng(3).integers(0, 256, (10, 13, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(picture, "rgb24")
    filtered = pixels._scaler("rgb24", 10, 13, 10, 13, 2, "bt601", "full")
    frame.pts = None
    filtered.push(frame)
    np.testing.assert_array_equal(filtered.pull().to_ndarray(), picture)

    def filters(*_: object) -> None:
        raise AssertionError("a filter was made")

    monkeypatch.setattr(pixels, "_scaler", filters)
    orientation = Orientation(transposed=True) if turned else UPRIGHT
    monkeypatch.setattr(pixels, "orientation_of", lambda _: orientation)
    size = (13, 10) if turned else (10, 13)
    found = pixels.PixelConverter(Path("x"), *size).convert(frame, 0)
    expected = picture.swapaxes(0, 1) if turned else picture
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous and found.flags.owndata
    # Another size or format does: the filter is asked for.
    with pytest.raises(DataError, match="a filter was made"):
        pixels.PixelConverter(Path("x"), 5, 13).convert(frame, 0)

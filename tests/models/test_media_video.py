"""What was decoded decides; what a file declares does not, and a real cut or damage is told."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdht_host import video
from fdht_models.data.folders import Clip, FolderRequest
from fdht_models.errors import DataError
from fdht_models.media import Damage, PixelConverter, VideoFile
from fdht_models.media.structure import Ending, ending_of
from tests.models.folders_samples import read_of
from tests.models.media_samples import HEIGHT, WIDTH, cut, moving, write

CODECS = {".avi": "mpeg4", ".wmv": "wmv2", ".gif": "gif", ".mpg": "mpeg2video"}
PIXELS = {".gif": "rgb8"}


def sample(path: Path, count: int = 30, *, first: int = 0, **container: str) -> Path:
    """A video of the usual codec of its suffix, with its index in front where it has one."""
    codec, pixels = CODECS.get(path.suffix, "libx264"), PIXELS.get(path.suffix, "yuv420p")
    options = {"bf": "0", "g": "10"} if codec != "gif" else {}
    frames = moving(count)
    frames[:, HEIGHT // 2 :] = np.random.default_rng(0).integers(
        0, 256, frames[:, HEIGHT // 2 :].shape
    )
    return write(path, frames, codec, pixels, first=first, container=container, **options)


def decoded(path: Path, threads: int = 1) -> tuple[np.ndarray, Damage | None]:
    converter = PixelConverter(path, HEIGHT, WIDTH)
    with VideoFile(path, threads) as file:
        pictures = [converter.convert(frame, k) for k, frame in enumerate(file.frames())]
        return np.array(pictures), file.damage


@pytest.mark.parametrize("name", ["x.mkv", "x.webm", "x.mp4", "x.ts", "x.avi"])
def test_a_video_that_starts_later_is_whole(name: str, tmp_path: Path) -> None:
    if name == "x.webm":
        write(tmp_path / name, moving(30), "libvpx", first=100)
    else:
        sample(tmp_path / name, first=100)
    pictures, damage = decoded(tmp_path / name)
    assert (len(pictures), damage) == (30, None)
    assert len(list(video.decode(tmp_path / name, HEIGHT, WIDTH))) == 30


def test_pictures_that_repeat_the_one_before_are_not_missing(tmp_path: Path) -> None:
    """An AVI says "as before" with an empty chunk; they count as frames and hold none."""
    path = sample(tmp_path / "x.avi")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    at = data.index(b"idx1") + 8
    for number, packet in enumerate(packets[20:], 20):
        struct.pack_into("<I", data, at + 16 * number + 12, 0)
        rest = packet.size + packet.size % 2 - 8
        struct.pack_into("<4sI4sI", data, packet.pos - 8, b"00dc", 0, b"JUNK", rest)
    path.write_bytes(data)
    with VideoFile(path) as file:
        assert file.info.frames == 30  # what it declares
    pictures, damage = decoded(path)
    assert (len(pictures), damage) == (20, None)
    clip = Clip("k", path.name, (0,))
    request = FolderRequest(
        "ucf11", tmp_path, protocol="uniform", height=HEIGHT, width=WIDTH
    ).complete()
    assert read_of(request, clip).damage == ""
    assert len(list(video.decode(path, HEIGHT, WIDTH))) == 20


def test_a_last_picture_that_is_shown_for_long_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"bf": "0"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for number, pixels in enumerate(moving(10)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = number if number < 9 else 100
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    assert len(list(video.decode(path, HEIGHT, WIDTH))) == 10


def overstate(path: Path) -> Path:
    """Sets what a whole file says of its length to something huge."""
    data = bytearray(path.read_bytes())
    if path.suffix == ".avi":
        header, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
        data[header + 16 : header + 20] = struct.pack("<I", 2_000_000_000)
        data[stream + 32 : stream + 36] = struct.pack("<I", 2_000_000_000)
    else:
        text = data.index(b"00:00:01.")
        data[text : text + 8] = b"99:00:00"
        length = data.index(b"\x44\x89\x88") + 3
        data[length : length + 8] = struct.pack(">d", 3.6e11)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["x.avi", "x.mkv"])
def test_a_huge_length_is_not_believed(name: str, tmp_path: Path) -> None:
    path = overstate(sample(tmp_path / name))
    with VideoFile(path) as file:
        assert (file.info.seconds or 0) > 1e5 or (file.info.frames or 0) > 1e6
    pictures, damage = decoded(path)
    assert (len(pictures), damage) == (30, None)
    assert len(list(video.decode(path, HEIGHT, WIDTH))) == 30


@pytest.mark.parametrize("name", ["x.avi", "x.wav.avi"])
def test_a_length_that_a_writer_left_open_is_none(name: str, tmp_path: Path) -> None:
    path = sample(tmp_path / name)
    for left_open in (0, 0x7FFF_FFFF, 0xFFFF_FFFF):
        data = bytearray(path.read_bytes())
        data[4:8] = struct.pack("<I", left_open)
        path.write_bytes(data)
        assert decoded(path)[1] is None


CUT = {
    "x.mp4": {"movflags": "faststart"},
    "y.mp4": {"movflags": "frag_keyframe+empty_moov"},
    "x.mkv": {},
    "y.mkv": {"live": "1"},
    "x.avi": {},
    "x.ts": {},
    "x.h264": {},
    "x.wmv": {},
    "x.mpg": {},
    "x.flv": {},
    "x.gif": {},
}


@pytest.mark.parametrize("share", [0.5, 0.75, 0.95])
@pytest.mark.parametrize("name", CUT)
def test_a_cut_is_told(name: str, share: float, tmp_path: Path) -> None:
    path = sample(tmp_path / name, **CUT[name])
    whole, damage = decoded(path)
    assert (len(whole), damage) == (30, None)
    pictures, damage = decoded(cut(path, share))
    assert damage is not None and damage.frames == len(pictures) < 30
    # What is given out is what the whole file holds: nothing is guessed.
    if name != "x.ts":  # a transport stream does not say how long its last packet of data is
        np.testing.assert_array_equal(pictures, whole[: len(pictures)])
    with pytest.raises(DataError, match=rf"frame {len(pictures)}: cannot be decoded"):
        list(video.decode(path, HEIGHT, WIDTH))
    if len(pictures):
        request = FolderRequest(
            "ucf11", tmp_path, protocol="uniform", height=HEIGHT, width=WIDTH
        ).complete()
        assert f"after {len(pictures)} " in read_of(request, Clip("k", name, (0,))).damage


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.h264"])
def test_damage_is_at_the_same_frame_for_any_number_of_threads(name: str, tmp_path: Path) -> None:
    """Near the end, where several threads have taken all packets before they tell."""
    path = write(tmp_path / name, moving(40), bf="2", g="40", container={"movflags": "faststart"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    start = packets[33].pos if packets[33].pos is not None else len(path.read_bytes()) * 4 // 5
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(1).integers(0, 256, 12, dtype=np.uint8).tobytes()
    data[start + 8 : start + 20] = noise
    path.write_bytes(data)
    one, damage = decoded(path, 1)
    many, same = decoded(path, 4)
    assert damage is not None
    assert same == damage
    np.testing.assert_array_equal(one, many)


def test_a_run_and_a_folder_stop_at_the_same_damage(tmp_path: Path) -> None:
    """A frame that FFmpeg restores by guessing is marked as corrupt, and taken by neither."""
    path = sample(tmp_path / "x.avi")
    data = bytearray(path.read_bytes())
    middle = len(data) * 7 // 10
    data[middle : middle + 8] = bytes(value ^ 0xFF for value in data[middle : middle + 8])
    path.write_bytes(data)
    with av.open(str(path)) as container:
        marks = [frame.is_corrupt for frame in container.decode(video=0)]
    good = marks.index(True)
    assert good > 2 and len(marks) == 30
    with pytest.raises(DataError, match=rf"frame {good}: cannot be decoded"):
        list(video.decode(path, HEIGHT, WIDTH))
    request = FolderRequest(
        "ucf11", tmp_path, protocol="tt_rnn", steps=40, height=HEIGHT, width=WIDTH
    ).complete()
    clip = read_of(request, Clip("k", path.name, (0,)))
    assert f"after {good} frames" in clip.damage
    assert int(clip.values.any(axis=1).sum()) == good


def test_a_changed_byte_of_our_own_videos_is_told(tmp_path: Path) -> None:
    """FFmpeg sees the wrong checksum, shows the frame before in its place and says nothing."""
    frames = np.random.default_rng(0).integers(0, 256, (12, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / "x.mkv"
    video.encode(path, frames, 25)
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][7]
        size, payload = packet.size, bytes(packet)
    whole = path.read_bytes()
    place = whole.index(payload)
    for offset in (size // 4, size // 2, size - 3):
        data = bytearray(whole)
        data[place + offset] ^= 0x10
        path.write_bytes(data)
        pictures, damage = decoded(path)
        assert damage == Damage(7, "its checksum is wrong")
        np.testing.assert_array_equal(pictures, frames[:7])
    path.write_bytes(whole)
    assert decoded(path)[1] is None


def test_ffv1_without_checksums_is_read(tmp_path: Path) -> None:
    for options in ({"level": "1"}, {"level": "3", "slicecrc": "0"}, {"level": "3"}):
        path = write(tmp_path / "x.mkv", moving(6), "ffv1", "bgr0", **options)
        pictures, damage = decoded(path)
        assert damage is None
        np.testing.assert_array_equal(pictures, moving(6))


STARTS = (
    b"\0\0\0\x18ftypisom",
    b"RIFF\x10\0\0\0AVI ",
    b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    b"\0\0\1\xba",
    b"GIF89a",
    b"\x47",
    b"",
)


@given(st.sampled_from(STARTS), st.binary(max_size=600), st.booleans())
def test_the_end_of_any_bytes_is_found(start: bytes, rest: bytes, packets: bool) -> None:
    """No error and no endless loop, whatever the lengths say."""
    data = (b"\x47" + bytes(187)) * 3 + rest if packets else start + rest
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        assert ending_of(Path(file.name)) in Ending


def test_a_file_that_goes_away_is_damage(tmp_path: Path) -> None:
    path = sample(tmp_path / "x.avi")
    with VideoFile(path) as file:
        path.unlink()
        count = sum(1 for _ in file.frames())
        assert file.damage == Damage(count, "No such file or directory")

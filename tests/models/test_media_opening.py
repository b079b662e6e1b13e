"""Files are opened as files, and whatever PyAV raises for one of them is one line."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, load_folder
from fdht_models.errors import ConfigError, DataError
from fdht_models.media import VideoFile, library
from fdht_models.preprocessing.log_mel import sound_parts
from tests.models.folders_samples import SIZE, ucf11, write_wav
from tests.models.media_samples import moving, write


def count(path: Path) -> int:
    with VideoFile(path) as video:
        found = sum(1 for _ in video.frames())
        assert video.damage is None
    return found


@pytest.mark.parametrize("name", ["12:30.mp4", "http:b.mp4", "%03d.mp4", "-i.mp4", "a b\n.mp4"])
def test_a_name_is_no_address(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.mp4", moving(5)).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert count(Path(name)) == 5


def test_a_sound_is_called_by_the_time_of_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wav(tmp_path / "12:30.wav", np.arange(100))
    monkeypatch.chdir(tmp_path)
    assert sum(map(len, sound_parts(Path("12:30.wav")))) == 100


def test_an_address_is_not_opened() -> None:
    for name in ("http://127.0.0.1:9/x.mp4", "rtsp://127.0.0.1:9/x", "pipe:/0"):
        with pytest.raises(DataError, match=r"No such file.*addresses are not opened") as error:
            VideoFile(Path(name))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile {}\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1,\nfd:\n#EXT-X-ENDLIST\n"),
    ],
)
def test_what_a_list_names_is_not_opened(name: str, text: str, tmp_path: Path) -> None:
    write(tmp_path / "other.ts", moving(30))
    path = tmp_path / name
    path.write_text(text.format("other.ts"))
    if "{}" in text:  # FFmpeg by itself opens what the list names
        with av.open(str(path)) as container:
            assert len(list(container.decode(video=0))) == 30
    with pytest.raises(DataError, match="cannot be read"):
        VideoFile(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    with pytest.raises(DataError, match="is a pipe"):
        VideoFile(tmp_path / "pipe.mkv")
    with pytest.raises(DataError, match="null byte"):
        VideoFile(tmp_path / "a\0b.mkv")


def without_decoder(path: Path) -> Path:
    """A whole AVI of a codec that no decoder knows."""
    write(path, moving(8), "mpeg4")
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"QQZW"))
    return path


def test_a_codec_without_a_decoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="codec QQZW cannot be decoded") as error:
        VideoFile(without_decoder(tmp_path / "a.avi"))
    assert "\n" not in str(error.value)


def test_a_clip_without_a_decoder_costs_that_clip(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11", clips=3)
    without_decoder(tmp_path / "UCF11" / "biking" / "v_biking_01" / "v_biking_01_04.avi")
    request = FolderRequest("ucf11", tmp_path / "UCF11", protocol="six", **SIZE)
    clips, report = load_folder(request, "train", tmp_path / "cache")
    assert len(clips) == 24
    (skipped,) = report.skipped
    assert "v_biking_01_04" in skipped.path and "codec QQZW" in skipped.reason


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'NoneType' object has no attribute 'name'"),
        IndexError("list index out of range"),
        MemoryError(),
        AssertionError("Container is not open"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        av.error.InvalidDataError(1, "Invalid data found when processing input"),
    ],
)
def test_whatever_pyav_raises_for_a_file_is_the_files_fault(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort: errors of PyAV's that no file at hand provokes."""

    def fail(*_: object, **__: object) -> None:
        raise error

    path = write(tmp_path / "x.mp4", moving(5))
    monkeypatch.setattr(av, "open", fail)
    for call in (lambda: VideoFile(path), lambda: list(sound_parts(path))):
        with pytest.raises(DataError, match=r"x\.mp4: cannot be read \(.+\)") as found:
            call()
        assert found.value.__cause__ is error


def test_errors_of_ours_and_interruptions_pass() -> None:
    for error in (ConfigError("of ours"), KeyboardInterrupt()):

        def fail(error: BaseException = error) -> None:
            raise error

        with pytest.raises(type(error)):
            library.attempt(fail)


def test_metadata_that_are_no_text(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.avi"), "w") as output:
        output.metadata["title"] = "marker"
        stream = output.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in moving(4):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())
    path = tmp_path / "x.avi"
    path.write_bytes(path.read_bytes().replace(b"marker", b"\xff\xfe\xff\xfe\xff\xfe"))
    assert count(path) == 4


# Which stream --------------------------------------------------------------------------------


def two_streams(path: Path, sizes: list[tuple[int, int]], dispositions: list[str]) -> Path:
    with av.open(str(path), "w") as output:
        streams = []
        for (height, width), name in zip(sizes, dispositions, strict=True):
            codec = "mjpeg" if name == "attached_pic" else "libx264"
            stream = output.add_stream(codec, rate=25)
            stream.height, stream.width = height, width
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = av.stream.Disposition[name].value if name else 0
            streams.append(stream)
        for stream, (height, width), name in zip(streams, sizes, dispositions, strict=True):
            for pixels in moving(1 if name == "attached_pic" else 6, height, width):
                output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            output.mux(stream.encode())
    return path


def size_of(path: Path) -> tuple[int, int]:
    with VideoFile(path) as video:
        frame = next(iter(video.frames()))
        return frame.height, frame.width


def test_a_cover_is_not_the_film(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "x.mp4", [(96, 96), (48, 64)], ["attached_pic", "default"])
    with av.open(str(path)) as container:  # in the file, the cover may come first
        assert len(container.streams.video) == 2
    assert size_of(path) == (48, 64)
    assert count(path) == 6


def test_the_default_stream_is_shown(tmp_path: Path) -> None:
    path = two_streams(tmp_path / "x.mkv", [(96, 128), (48, 64)], ["", "default"])
    assert size_of(path) == (48, 64)


def test_a_cover_alone_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        sound = output.add_stream("aac", rate=8000, layout="mono")
        cover = output.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 8000
        picture = av.VideoFrame.from_ndarray(moving(1)[0], format="rgb24")
        output.mux([*sound.encode(silence), *sound.encode()])
        output.mux([*cover.encode(picture), *cover.encode()])
    with pytest.raises(DataError, match="no video stream, only a picture"):
        VideoFile(path)

"""Folders of pictures as clips, and what files say of themselves; compared with Pillow."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from fdht_models.errors import DataError
from fdht_models.media import describe_media, list_pictures, read_picture, video
from fdht_models.preprocessing import Picture, Preprocessing, Sampling, read_clip
from tests.models.media_samples import HEIGHT, QUARTER_TURN, WIDTH, cut, moving, turn, write

ALL = Preprocessing(Sampling("uniform", 12), picture=Picture(HEIGHT, WIDTH))


def folder(path: Path, count: int = 12, name: str = "frame{}.png") -> Path:
    path.mkdir()
    for number, pixels in enumerate(moving(count)):
        Image.fromarray(pixels).save(path / name.format(number))
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "TIFF", "ppm", "webp"])
def test_pictures_in_natural_order_are_a_clip(suffix: str, tmp_path: Path) -> None:
    """frame2 before frame10; formats without loss show the very pixels."""
    path = tmp_path / "clip"
    path.mkdir()
    for number, pixels in enumerate(moving(12)):
        options = {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(pixels).save(path / f"Frame{number}.{suffix}", **options)
    clip = read_clip(path, "k", ALL)
    assert (clip.frames, clip.used, clip.damage, clip.time_step) == (12, 12, "", None)
    np.testing.assert_array_equal(clip.values, moving(12).reshape(12, -1))


def test_pictures_of_different_sizes_are_each_resized(tmp_path: Path) -> None:
    path = folder(tmp_path / "clip", 3)
    Image.fromarray(moving(1, 24, 32)[0]).save(path / "frame1.png")
    clip = read_clip(path, "k", ALL)
    np.testing.assert_array_equal(
        clip.values[-2], read_picture(path / "frame1.png", HEIGHT, WIDTH).reshape(-1)
    )
    np.testing.assert_array_equal(clip.values[[-3, -1]], moving(3)[[0, 2]].reshape(2, -1))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_pictures_are_turned_as_exif_says(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    for value in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = value
        options = {"lossless": True} if suffix == "webp" else {}
        Image.fromarray(moving(1, 20, 30)[0]).save(path, exif=exif, **options)
        wanted = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB")).astype(int)
        found = read_picture(path, *wanted.shape[:2])
        if suffix == "jpg":
            # Two decoders, each with its inverse transform and its doubling of the chroma: noise
            # apart from a wrong turn, which differs by 60 on average.
            assert np.abs(found - wanted).mean() < 8
        else:
            np.testing.assert_array_equal(found, wanted)


def test_kinds_of_pixels_are_exact(tmp_path: Path) -> None:
    path, generator = tmp_path / "x.png", np.random.default_rng(0)
    deep = generator.integers(0, 65536, (16, 16), dtype=np.uint16)
    Image.fromarray(deep).save(path)
    wanted = np.rint(deep.astype(float) * 255 / 65535).astype(np.uint8)
    np.testing.assert_array_equal(
        read_picture(path, 16, 16), np.repeat(wanted[:, :, None], 3, axis=2)
    )
    colours = Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    for picture in (
        colours.convert("P", palette=Image.Palette.ADAPTIVE),
        colours.convert("L"),
        colours.convert("1"),
        colours.convert("RGBA"),
    ):
        picture.save(path)
        np.testing.assert_array_equal(
            read_picture(path, 16, 16), np.asarray(picture.convert("RGB"))
        )


@pytest.mark.parametrize(
    ("name", "mode", "more", "said"),
    [
        ("x.png", "RGBA", False, "is transparent somewhere; save it without transparency"),
        ("x.webp", "RGBA", False, "is transparent somewhere"),
        ("x.jpg", "CMYK", False, "has inks"),
        ("x.tif", "CMYK", False, "has inks"),
        ("x.tif", "RGB", True, "holds several pictures; save each in a file of its own"),
        ("x.png", "RGB", True, "holds several pictures"),
        ("x.tif", "F", False, "cannot be decoded"),
    ],
)
def test_what_cannot_be_shown_exactly_is_refused(
    name: str, mode: str, more: bool, said: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    others = [Image.new(mode, (16, 16), (255, 0, 0))] if more else []
    options = {"save_all": True, "append_images": others} if more else {}
    Image.new(mode, (16, 16)).save(path, **options)
    with pytest.raises(DataError) as caught:
        read_picture(path, 16, 16)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_that_is_no_clip_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path / "clip", 3)
    (path / "frame01.png").write_bytes((path / "frame1.png").read_bytes())
    with pytest.raises(DataError, match=r"frame01\.png and frame1\.png have one number"):
        read_clip(path, "k", ALL)
    (path / "frame01.png").rename(path / "frame1.jpg")
    with pytest.raises(DataError, match=r"frame1\.jpg and frame1\.png have one number"):
        read_clip(path, "k", ALL)
    (path / "frame1.jpg").unlink()
    with pytest.raises(DataError, match="no time stamps and no rate"):
        read_clip(path, "k", ALL, (0, 1))
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").touch()
    with pytest.raises(DataError, match="holds no picture"):
        read_clip(empty, "k", ALL)
    (path / "frame1.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"frame1\.png: cannot be read"):
        read_clip(path, "k", ALL)


def test_gaps_in_numbers_and_other_files_are_noted(tmp_path: Path) -> None:
    path = folder(tmp_path / "clip", 30, "{:04}0.png")
    assert list_pictures(path).note == ""  # by tens
    (path / "00070.png").unlink()
    (path / ".DS_Store").touch()
    (path / "Thumbs.db").touch()
    assert list_pictures(path).note == "numbers jump between 00060.png and 00080.png"
    (path / "00200.png").unlink()
    (path / "notes.txt").touch()
    note = describe_media(path).note
    assert "numbers jump between 00060.png and 00080.png and in 1 more place" in note
    assert "left out: notes.txt" in note
    assert read_clip(path, "k", ALL).frames == 28


@pytest.mark.parametrize(
    ("name", "codec", "shown"),
    [
        ("x.mp4", "libx264", "h264"),
        ("x.mkv", "libx264", "h264"),
        ("x.avi", "mpeg4", "mpeg4"),
        ("x.ts", "mpeg2video", "mpeg2video"),
        ("x.webm", "libvpx-vp9", "vp9"),
    ],
)
def test_a_video_says_what_it_is(name: str, codec: str, shown: str, tmp_path: Path) -> None:
    info = describe_media(write(tmp_path / name, moving(30), codec))
    assert (info.kind, info.frames, info.seconds, info.rate) == ("video", 30, 1.2, 25.0)
    assert (info.height, info.width, info.codec) == (HEIGHT, WIDTH, shown)
    assert (info.pixel_format, info.channels, info.note) == ("yuv420p", None, "")


def test_a_description_decodes_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = turn(write(tmp_path / "x.mp4", moving(30)), QUARTER_TURN)
    given: list[object] = []
    real = video.VideoFile.decoder

    class Counting:
        def __init__(self, codec: object) -> None:
            self._codec = codec

        def decode(self, packet: object) -> object:
            given.append(packet)
            return self._codec.decode(packet)  # type: ignore[attr-defined]

    monkeypatch.setattr(video.VideoFile, "decoder", lambda self: Counting(real(self)))
    info = describe_media(path)
    assert (info.height, info.width, info.frames) == (WIDTH, HEIGHT, 30)
    assert len([packet for packet in given if packet is not None]) == 1


def test_hidden_pictures_are_no_frames(tmp_path: Path) -> None:
    """VP8 may keep a picture that is decoded for others only in a packet of its own."""
    path = write(tmp_path / "x.webm", moving(20), "libvpx")
    with av.open(str(path)) as container:
        packet = bytes([packet for packet in container.demux(video=0) if packet.size][10])
    data = bytearray(path.read_bytes())
    data[data.index(packet)] &= ~0x10  # RFC 6386, 9.1: show_frame
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert sum(1 for packet in container.demux(video=0) if packet.size) == 20
        container.seek(0)
        assert sum(1 for _ in container.decode(video=0)) == 19
    assert describe_media(path).frames == 19


def test_a_damaged_video_says_so(tmp_path: Path) -> None:
    path = cut(write(tmp_path / "x.avi", moving(30), "mpeg4", g="5"), 0.8)
    assert "ends" in describe_media(path).note
    path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read"):
        describe_media(path)
    with pytest.raises(DataError, match="No such file"):
        describe_media(tmp_path / "none.mp4")


def test_sound_says_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    with wave.open(str(path), "wb") as output:
        output.setparams((2, 2, 8000, 0, "NONE", ""))
        output.writeframes(bytes(4 * 6000))
    info = describe_media(path)
    assert (info.kind, info.seconds, info.rate, info.channels) == ("sound", 0.75, 8000.0, 2)
    assert (info.frames, info.height, info.width, info.codec) == (None, None, None, "pcm_s16le")


def test_a_folder_of_pictures_says_what_it_is(tmp_path: Path) -> None:
    path = folder(tmp_path / "clip", 5)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(moving(1)[0]).save(path / "frame0.png", exif=exif)
    info = describe_media(path)
    assert (info.kind, info.frames, info.seconds, info.rate) == ("video", 5, None, None)
    assert (info.height, info.width, info.codec, info.note) == (WIDTH, HEIGHT, "png", "")

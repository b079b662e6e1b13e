"""Recordings that hold no usable samples, or not all of them: told in one line, never guessed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from fdht_models.errors import DataError
from fdht_models.media import describe_media, open_sound
from fdht_models.preprocessing import Preprocessing, Sampling, Sound, read_clip
from fdht_models.preprocessing.recording import scan_recording
from tests.models.folders_samples import write_wav

HEARS = Preprocessing(
    Sampling("window", 5), sound=Sound(20, 2, "energy", level=-20.0, floor=-60.0, trim=30.0)
)
NOISE = np.random.default_rng(0).integers(-9000, 9000, 16_000).astype(np.int16)


def float_wav(path: Path, samples: np.ndarray) -> Path:
    """RIFF of 32-bit floating-point numbers (format 3), one channel at 16 kHz."""
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16_000, 64_000, 4, 32)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


@pytest.mark.parametrize("rate", [8000, 16_000, 48_000])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_a_recording_of_a_few_samples_is_too_short(rate: int, count: int, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", NOISE[:count], rate=rate)
    with pytest.raises(DataError, match=r"a\.wav: is too short: holds \d+ samples"):
        read_clip(path, "a", HEARS)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 12_345, 15_999])
def test_samples_that_are_not_finite_are_refused_by_all(
    value: float, place: int, tmp_path: Path
) -> None:
    samples = (NOISE / 32768).astype(np.float32)
    read_clip(float_wav(tmp_path / "a.wav", samples), "a", HEARS)
    samples[place] = value
    path = float_wav(tmp_path / "a.wav", samples)
    with pytest.raises(DataError, match=r"a\.wav: holds samples that are not finite"):
        read_clip(path, "a", HEARS)
    with (
        open_sound(path, 16_000) as stream,
        pytest.raises(DataError, match="holds samples that are not finite"),
    ):
        list(stream.parts())


def test_a_recording_that_was_cut_is_no_clip(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", NOISE)
    data = path.read_bytes()
    expected = scan_recording(path, 20, (0.0, 0.25)).energies
    # On the border of a packet, too, where no decoder finds anything wrong.
    for size in (len(data) // 3, len(data) - 2, 44 + 8192):
        path.write_bytes(data[:size])
        with pytest.raises(DataError, match="ends early: bytes are missing at its end"):
            read_clip(path, "a", HEARS)
        assert describe_media(path).note == "its data are incomplete"
    path.write_bytes(data[: len(data) // 3])
    # What comes before is there: 5,333 samples, a third of a second.
    np.testing.assert_array_equal(scan_recording(path, 20, (0.0, 0.25)).energies, expected)


@pytest.mark.parametrize("length", [0, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
@pytest.mark.parametrize("both", [True, False])
def test_a_length_that_was_left_open_is_no_cut(length: int, both: bool, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", NOISE)
    data = bytearray(path.read_bytes())
    whole = read_clip(path, "a", HEARS)
    if length or both:  # FFmpeg takes a data chunk of 0 bytes for an open one
        struct.pack_into("<I", data, data.index(b"data") + 4, length)
    if both:
        struct.pack_into("<I", data, 4, length)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_clip(path, "a", HEARS).values, whole.values)


def test_text_that_is_missing_behind_the_samples_is_no_cut(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", NOISE)
    data = bytearray(path.read_bytes()) + b"LIST" + struct.pack("<I", 400) + b"INFO"
    struct.pack_into("<I", data, 4, 36 + 2 * len(NOISE) + 408)
    path.write_bytes(data)
    assert read_clip(path, "a", HEARS).values.any()


def test_channels_that_cancel_are_told_from_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    both = np.stack([NOISE, -NOISE], axis=1)
    form = struct.pack("<HHIIHH", 1, 2, 16_000, 64_000, 4, 16)
    for samples, why in ((both, "they cancel each other"), (0 * both, "is silent: nothing in it")):
        data = samples.astype("<i2").tobytes()
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form
        chunks += b"data" + struct.pack("<I", len(data)) + data
        path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
        with pytest.raises(DataError, match=why):
            read_clip(path, "a", HEARS)

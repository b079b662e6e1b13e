"""Recordings: what was decoded is told beside what the header states."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from fdht_models.errors import DataError
from fdht_models.media.sound import SoundReader, open_sound
from fdht_models.preprocessing.log_mel import sound_parts
from tests.models.folders_samples import write_sphere, write_wav
from tests.models.media_samples import moving, write

SAMPLES = np.random.default_rng(0).integers(-9000, 9000, 32_000).astype(np.int16)


def decoded(path: Path) -> tuple[NDArray[np.float32], int | None, SoundReader]:
    """The samples of a file, how many its header states, and what read them."""
    with open_sound(path, 16_000) as reader:
        return np.concatenate([*reader.parts()]), reader.declared(), reader


@pytest.mark.parametrize("kind", ["sphere", "wav"])
def test_a_recording_that_was_cut_holds_what_is_there(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    (write_sphere if kind == "sphere" else write_wav)(path, SAMPLES)
    _, declared, whole = decoded(path)
    assert (declared, whole.decoded, whole.rate, whole.damage) == (32_000, 32_000, 16_000, "")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - 2 * 22_000])
    samples, declared, cut = decoded(path)
    assert cut.decoded == 10_000
    assert cut.cut or not cut.damage
    # FFmpeg reads the header of NIST SPHERE, and of RIFF the size of the file.
    assert declared == (32_000 if kind == "sphere" else 10_000)
    expected = (SAMPLES[:10_000] / 32768).astype(np.float32)
    np.testing.assert_array_equal(samples, expected)
    np.testing.assert_array_equal(np.concatenate([*sound_parts(path, may_be_cut=True)]), expected)


@pytest.mark.parametrize("length", [0xFFFF_FFFF, 0x7FFF_FFFF, 2_000_000_000])
def test_a_huge_length_is_not_believed(length: int, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", SAMPLES)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"data") + 4, length)
    struct.pack_into("<I", data, 4, length)
    path.write_bytes(data)
    samples, _, sound = decoded(path)
    assert (sound.decoded, len(samples)) == (32_000, 32_000)


def test_rates_are_told_apart(tmp_path: Path) -> None:
    samples, declared, sound = decoded(write_wav(tmp_path / "a.wav", SAMPLES, rate=8000))
    assert (sound.rate, sound.decoded, declared) == (8000, 32_000, 32_000)
    assert abs(len(samples) - 64_000) < 50


def test_the_default_stream_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("pcm_s16le", rate=16_000, layout="mono") for _ in range(2)]
        streams[0].disposition, streams[1].disposition = 0, av.stream.Disposition.default.value
        for stream, value in zip(streams, (100, 200), strict=True):
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), value, np.int16), "s16", "mono")
            frame.sample_rate = 16_000
            output.mux([*stream.encode(frame), *stream.encode()])
    np.testing.assert_array_equal(decoded(path)[0], np.float32(200 / 32768))


def test_a_film_without_sound(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", moving(3))
    with pytest.raises(DataError, match=r"a\.mp4: holds no sound stream"):
        decoded(path)


def test_damage_ends_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(SAMPLES[None], "s16", "mono")
        frame.sample_rate = 16_000
        output.mux([*stream.encode(frame), *stream.encode()])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    samples, declared, sound = decoded(path)
    assert declared == 32_000
    assert 0 < sound.decoded < 32_000
    np.testing.assert_array_equal(samples, (SAMPLES[: sound.decoded] / 32768).astype(np.float32))

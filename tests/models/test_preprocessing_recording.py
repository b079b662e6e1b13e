"""Recordings to clips: level, silence, window; against scipy and plain loops."""

from __future__ import annotations

import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import scipy.signal

from fdht_models.errors import DataError
from fdht_models.preprocessing import Preprocessing, Sampling, Sound, read_clip
from fdht_models.preprocessing.log_mel import mel_filters
from fdht_models.preprocessing.recording import loudness, voiced
from tests.models.folders_samples import write_sphere

BANDS = 20


def write(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """Python's own writer; samples are numbers from -1 to 1, [samples] or [samples, channels]."""
    with wave.open(str(path), "wb") as output:
        output.setparams((samples[:1].size, 2, rate, 0, "NONE", ""))
        output.writeframes(np.rint(samples * 32767).astype("<i2").tobytes())
    return path


def encode(path: Path, samples: np.ndarray, codec: str, rate: int) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate, layout="mono")
        kind = "fltp" if codec in ("libmp3lame", "libvorbis", "vorbis") else "s16"
        values = samples if kind == "fltp" else np.rint(samples * 32767)
        kept = values.astype(np.float32 if kind == "fltp" else np.int16)
        frame = av.AudioFrame.from_ndarray(kept[None], kind, "mono")
        frame.sample_rate = rate
        output.mux([*stream.encode(frame), *stream.encode()])
    return path


def burst(seconds: float, hertz: float, peak: float, rate: int = 16_000) -> np.ndarray:
    times = np.arange(round(seconds * rate)) / rate
    return peak * np.sin(np.pi * times / seconds) * np.sin(2 * np.pi * hertz * times)


def word(seed: int = 0) -> np.ndarray:
    """A hiss, a syllable, a pause, a louder syllable, a hiss."""
    noise = np.random.default_rng(seed).normal(0, 2e-4, 32_000)
    noise[8000:12_000] += burst(0.25, 400, 0.05)
    noise[14_000:22_000] += burst(0.5, 900, 0.2)
    return noise


def hears(steps: int, **settings: object) -> Preprocessing:
    return Preprocessing(Sampling("window", steps), sound=Sound(BANDS, 2, **settings))  # type: ignore[arg-type]


def reference(samples: np.ndarray, count: int, level: float, floor: float, trim: float) -> list:
    """The documented definition, with scipy's STFT and one frame after the other."""
    _, _, spectrum = scipy.signal.stft(
        samples, window=scipy.signal.get_window("hann", 400), nperseg=400, noverlap=240,
        nfft=512, boundary=None, padded=False,
    )  # fmt: skip
    bands = (2 * np.abs(spectrum.T)) ** 2 @ mel_filters(BANDS).T
    energies = [sum(row) for row in bands]
    loudest = max(energies)
    loud = [energy for energy in energies if energy >= loudest / 100]
    gain = level - 10 * np.log10(sum(loud) / len(loud))
    heard = [t for t, energy in enumerate(energies) if energy >= loudest * 10 ** (-trim / 10)]
    first, last = heard[0], heard[-1] + 1
    if last - first > count:
        sums = [sum(energies[t : t + count]) for t in range(first, last - count + 1)]
        first += int(np.argmax(sums))
        last = first + count
    codes = []
    for row in bands[first:last]:
        decibels = 10 * np.log10(row + 1e-20) + gain
        codes.append(np.clip(np.rint(255 * (decibels - floor) / (-5 - floor)), 0, 255))
    return [np.zeros(BANDS)] * (count - len(codes)) + codes


@pytest.mark.parametrize("steps", [10, 100])
@pytest.mark.parametrize(("level", "floor", "trim"), [(-20, -60, 30), (-26, -90, 45), (-6, -40, 8)])
def test_a_clip_is_what_the_definition_says(
    steps: int, level: float, floor: float, trim: float, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.wav", word())
    found = read_clip(path, "a", hears(steps, level=level, floor=floor, trim=trim))
    samples = np.rint(word() * 32767) / 32768
    expected = reference(samples, 2 * steps, level, floor, trim)
    np.testing.assert_array_equal(found.values.reshape(-1, BANDS), expected)
    assert found.values.max() > 100 and found.time_step == 0.02
    # The hiss before and after is no part of the clip, and zeros are in front.
    assert found.frames == 198 and 0 < found.used < 110
    if steps == 100:
        assert not found.values[:40].any() and found.values[-1].any()


def test_the_level_of_a_recording_makes_no_difference(tmp_path: Path) -> None:
    soft = np.rint(word() * 8000)
    settings = hears(30, level=-20.0, floor=-60.0, trim=30.0)
    clips = [
        read_clip(write(tmp_path / f"{gain}.wav", gain * soft / 32767), "a", settings).values
        for gain in (1, 2, 4)
    ]
    np.testing.assert_array_equal(clips[1], clips[0])
    np.testing.assert_array_equal(clips[2], clips[0])
    plain = [
        read_clip(tmp_path / f"{gain}.wav", "a", hears(30)).values.astype(int) for gain in (1, 4)
    ]
    # Four times as loud: 12.04 dB of 3 codes each, both rounded.
    assert set(np.unique((plain[1] - plain[0])[plain[0] > 0])) == {36, 37}


def test_a_click_changes_the_level_by_little(tmp_path: Path) -> None:
    clicked = word()
    clicked[16_000] = 0.9
    settings = hears(30, level=-20.0, floor=-60.0, trim=30.0)
    a = read_clip(write(tmp_path / "a.wav", word()), "a", settings).values.astype(int)
    b = read_clip(write(tmp_path / "b.wav", clicked), "a", settings).values.astype(int)
    # By the peak it would be 13 dB, 60 codes; all but the three frames with the click count.
    assert np.median(np.abs(a - b)[a > 0]) <= 9


def test_loudness_of_a_steady_tone_is_its_own() -> None:
    assert loudness(np.full(50, 0.01)) == pytest.approx(-20)
    # What is 30 dB below does not count, what is 10 dB below does: 10 log10((1 + 0.1) / 2).
    assert loudness(np.array([1.0, 0.1, 0.001])) == pytest.approx(10 * np.log10(0.55))


def test_silence_within_is_kept() -> None:
    energies = np.array([0, 1e-4, 1, 0, 0, 1, 1e-2, 0])
    assert voiced(energies, 30) == (2, 7)
    assert voiced(energies, 10) == (2, 6)
    assert voiced(energies, 50) == (1, 7)
    assert voiced(energies, None) == (0, 8)


def test_the_window_is_where_the_energy_is_and_not_the_most_codes(tmp_path: Path) -> None:
    # A long soft murmur has more codes in sum than a short loud word, and less energy.
    samples = np.zeros(48_000)
    samples[2000:26_000] = np.random.default_rng(0).normal(0, 0.01, 24_000)
    samples[36_000:40_000] = burst(0.25, 500, 0.5)
    found = read_clip(write(tmp_path / "a.wav", samples), "a", hears(50, level=-20.0))
    assert found.used == 100
    codes = found.values.reshape(-1, BANDS)
    band = int(codes.max(axis=0).argmax())
    assert abs(mel_filters(BANDS)[band].argmax() * 31.25 - 500) < 60


def test_a_silent_recording_is_refused_and_never_made_loud(tmp_path: Path) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 16_000) / 32767
    for name, samples in {"zero": np.zeros(16_000), "dither": dither}.items():
        path = write(tmp_path / f"{name}.wav", samples)
        for settings in (hears(20, level=-20.0), hears(20, trim=30.0)):
            with pytest.raises(DataError, match=r"is silent: nothing in it is louder than -80 dB"):
                read_clip(path, "a", settings)
    # Where nothing is asked of the level, silence is what it is: zeros.
    assert not read_clip(tmp_path / "zero.wav", "a", hears(20)).values.any()


def test_too_short_for_a_frame(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 399 samples, and a frame has 400"):
        read_clip(write(tmp_path / "a.wav", word()[14_000:14_399]), "a", hears(20))
    assert read_clip(write(tmp_path / "a.wav", word()[14_000:14_400]), "a", hears(20)).used == 1


def test_a_part_is_levelled_and_trimmed_by_itself(tmp_path: Path) -> None:
    both = np.concatenate([word(), 4 * word()])
    settings = hears(40, level=-20.0, floor=-60.0, trim=30.0)
    path = write(tmp_path / "both.wav", both)
    alone = read_clip(write(tmp_path / "a.wav", word()), "a", settings)
    np.testing.assert_array_equal(read_clip(path, "a", settings, (0.0, 2.0)).values, alone.values)
    loud = read_clip(write(tmp_path / "b.wav", 4 * word()), "a", settings)
    for span in ((2.0, 4.0), (2.0, np.inf)):
        np.testing.assert_array_equal(read_clip(path, "a", settings, span).values, loud.values)


def test_every_container_and_rate_is_heard_alike(tmp_path: Path) -> None:
    settings = hears(40, level=-20.0, floor=-60.0, trim=30.0)
    plain = read_clip(write(tmp_path / "a.wav", word()), "a", settings).values
    whole = np.rint(word() * 32767)
    exact = [
        encode(tmp_path / "a.flac", word(), "flac", 16_000),
        write_sphere(tmp_path / "a.sph", whole),
        write(tmp_path / "two.wav", np.stack([word(), word()], axis=1)),
    ]
    for path in exact:
        found = read_clip(path, "a", settings).values.astype(int)
        # Two channels are mixed in single precision, which may move a value by one rounding.
        assert np.abs(found - plain).max() <= (1 if path.name == "two.wav" else 0), path
    for rate, name, codec in (
        (8000, "a8.wav", ""), (44_100, "a44.wav", ""), (48_000, "a48.wav", ""),
        (48_000, "a.mp3", "libmp3lame"), (48_000, "a.ogg", "libvorbis"),
    ):  # fmt: skip
        samples = scipy.signal.resample(word(), 2 * rate)
        path = tmp_path / name
        if codec and codec not in av.codecs_available:
            continue
        path = encode(path, samples, codec, rate) if codec else write(path, samples, rate)
        found = read_clip(path, "a", settings).values.astype(int)
        loud = plain > 150
        assert np.median(np.abs(found - plain)[loud]) <= 8, name  # 8 codes are 1.7 dB


def test_a_long_recording_needs_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as output:
        output.setparams((1, 2, 16_000, 0, "NONE", ""))
        for _ in range(100):
            noise = generator.integers(-50, 50, 32_000).astype("<i2")
            output.writeframes(noise.tobytes())
        output.writeframes((30_000 * burst(0.5, 700, 1.0)).astype("<i2").tobytes())
    settings = hears(20, level=-20.0, floor=-60.0, trim=30.0)
    whole = read_clip(path, "a", settings)
    monkeypatch.setattr("fdht_models.preprocessing.recording._BLOCK", 16_000)
    monkeypatch.setattr("fdht_models.preprocessing.log_mel._BLOCK", 64)
    tracemalloc.start()
    found = read_clip(path, "a", settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.values, whole.values)
    assert (found.frames, found.used) == (1 + (3_208_000 - 400) // 160, 40)
    assert peak < 4_000_000  # its samples are 12.8 million bytes


def test_damage_is_told(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.flac", word(), "flac", 16_000)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"a\.flac: cannot be decoded after \d+ samples"):
        read_clip(path, "a", hears(20))
    (tmp_path / "b.wav").write_bytes(write(tmp_path / "b.wav", word()).read_bytes()[:44])
    with pytest.raises(DataError, match=r"b\.wav: holds no sound"):
        read_clip(tmp_path / "b.wav", "a", hears(20))

"""TIMIT and TED-LIUM: recordings become quantised log-mel frames, one label a clip."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from fdht_models.data.folders import FOLDER_SETS, FolderRequest, list_folder, load_folder
from fdht_models.data.folders.published.timit_ted_lium import TIMIT_FOLDING
from fdht_models.errors import DataError
from fdht_models.preprocessing.log_mel import cut_window, log_mel, mel_filters, sound_parts
from tests.models.folders_samples import write_sphere, write_wav

TIMIT = FOLDER_SETS["timit"].classes


def noise(count: int, seed: int, level: float = 3000.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    envelope = 0.05 + np.abs(np.sin(np.arange(count) / 3000))
    return (generator.normal(0, level, count) * envelope).clip(-32768, 32767).astype(np.int16)


def reference_codes(samples: np.ndarray, bands: int) -> np.ndarray:
    """The documented definition, with scipy's STFT and one triangle after the other."""
    _, _, spectrum = scipy.signal.stft(
        samples / 32768,
        window=scipy.signal.get_window("hann", 400),
        nperseg=400,
        noverlap=240,
        nfft=512,
        boundary=None,
        padded=False,
    )
    # scipy's scaling: the sum of the window is divided out; a full-scale sine has 0.5.
    power = (2 * np.abs(spectrum.T)) ** 2
    mel = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + 8000 / 700), bands + 2)
    edges = 700 * (10 ** (mel / 2595) - 1)
    frequencies = np.arange(257) * 31.25
    codes = np.zeros((len(power), bands), int)
    for band in range(bands):
        triangle = np.interp(frequencies, edges[band : band + 3], [0, 1, 0])
        decibels = 10 * np.log10(power @ triangle + 1e-20)
        codes[:, band] = np.clip(np.rint(3 * (decibels + 90)), 0, 255)
    return codes


def test_log_mel_is_what_it_says() -> None:
    samples = noise(16_000, 0)
    found = log_mel((samples / 32768).astype(np.float32), 40)
    np.testing.assert_array_equal(found, reference_codes(samples, 40))
    assert (found.std() > 20 and 0 < np.mean(found == 0) < 0.5) or found.min() > 0


def test_a_sine_is_in_its_band_at_its_level() -> None:
    for decibels in (0, -40, -80):
        wave = 10 ** (decibels / 20) * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16_000)
        found = log_mel(wave.astype(np.float32), 40)[10]
        band = int(found.argmax())
        assert mel_filters(40)[band].argmax() == pytest.approx(1000 / 31.25, abs=1.5)
        assert found[band] == pytest.approx(min(255, 3 * (decibels + 90)), abs=6)


def test_silence_is_zero() -> None:
    np.testing.assert_array_equal(log_mel(np.zeros(1000, np.float32), 8), np.zeros((4, 8)))


def test_long_sounds_are_the_same_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = (noise(40_000, 1) / 32768).astype(np.float32)
    whole = log_mel(samples, 20)
    monkeypatch.setattr("fdht_models.preprocessing.log_mel._BLOCK", 7)
    np.testing.assert_array_equal(log_mel(samples, 20), whole)
    assert len(whole) == 1 + (40_000 - 400) // 160


def test_riff_and_sphere_give_the_samples(tmp_path: Path) -> None:
    samples = noise(5000, 2)
    for path in (
        write_wav(tmp_path / "a.wav", samples),
        write_sphere(tmp_path / "SA1.WAV", samples),
    ):
        np.testing.assert_array_equal(
            np.concatenate([*sound_parts(path)]), (samples / 32768).astype(np.float32)
        )


def test_another_rate_is_resampled(tmp_path: Path) -> None:
    times = np.arange(8000) / 8000
    wave = (20_000 * np.sin(2 * np.pi * 440 * times)).astype(np.int16)
    found = np.concatenate([*sound_parts(write_wav(tmp_path / "a.wav", wave, rate=8000))])
    assert abs(len(found) - 16_000) < 50
    spectrum = np.abs(np.fft.rfft(found[:16_000]))
    assert spectrum.argmax() == 440


def test_no_sound_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF????WAVE")
    with pytest.raises(DataError, match=r"a\.wav: cannot be read"):
        list(sound_parts(tmp_path / "a.wav"))


# --- TIMIT --------------------------------------------------------------------------------------

PHONES = [
    *((0, 2400, "h#"), (2400, 3200, "sh"), (3200, 4000, "ix"), (4000, 4300, "q")),
    *((4300, 6200, "ao"), (6200, 7100, "tcl"), (7100, 8000, "t"), (8000, 9600, "h#")),
]
FOLDED = ["sil", "sh", "ih", "aa", "sil", "t", "sil"]


def timit(root: Path, upper: bool = True) -> dict[str, np.ndarray]:
    """Four speakers, three sentences each; "split/speaker/sentence" -> samples."""
    made = {}
    people = {"TRAIN": ("DR1/FCJF0", "DR2/MDAB0"), "TEST": ("DR1/FAKS0", "DR3/MBDG0")}
    for split, speakers in people.items():
        for number, speaker in enumerate(speakers):
            for place, sentence in enumerate(("SA1", "SX37", "SI648")):
                samples = noise(9600, 100 * number + 10 * place + len(split))
                stem = Path(split, speaker, sentence)
                stem = stem if upper else Path(str(stem).lower())
                sound, labels = (".WAV", ".PHN") if upper else (".wav", ".phn")
                write_sphere(root / stem.with_suffix(sound), samples)
                text = "".join(f"{first} {last} {phone}\n" for first, last, phone in PHONES)
                (root / stem.with_suffix(labels)).write_text(text)
                key = f"{split}/{speaker.split('/')[1]}/{sentence}".lower()
                made[key] = samples
    return made


@pytest.mark.parametrize("upper", [True, False])
def test_timit_gives_one_clip_a_phone(upper: bool, tmp_path: Path) -> None:
    timit(tmp_path / "timit" / "TIMIT", upper)
    listing = list_folder(FolderRequest("timit", tmp_path / "timit"))
    assert len(listing.clips) == 2 * 2 * 2 * 7  # no SA sentence, no glottal stop
    first = [clip for clip in listing.clips if clip.key.startswith("train/fcjf0/sx37/")]
    assert [listing.classes[clip.labels[0]] for clip in first] == FOLDED
    groups = {
        split: {clip.group for clip in listing.clips if clip.published == (split,)}
        for split in ("train", "test")
    }
    assert groups == {"train": {"fcjf0", "mdab0"}, "test": {"faks0", "mbdg0"}}


def test_timit_windows_are_centred_on_the_phone(tmp_path: Path) -> None:
    made = timit(tmp_path / "TIMIT")
    request = FolderRequest("timit", tmp_path / "TIMIT", steps=9, bands=20)
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    assert clips.frames.shape == (2 * 2 * 7, 9, 20)
    assert tuple(sorted(set(TIMIT_FOLDING.values()))) == TIMIT
    # Of the 39 phones, those that were said.
    assert clips.classes == tuple(name for name in TIMIT if name in clips.classes)
    expected = []
    for key, samples in made.items():
        if not key.startswith("train") or "sa1" in key:
            continue
        codes = np.pad(reference_codes(samples, 20), ((9, 9), (0, 0)))
        for first, last, phone in PHONES:
            if phone != "q":
                middle = round(((first + last) / 2 - 200) / 160)
                window = codes[9 + middle - 4 : 9 + middle + 5].astype(np.uint8)
                expected.append((window.tobytes(), clips.classes.index(TIMIT_FOLDING[phone])))
    found = [
        (frames.tobytes(), int(label))
        for frames, label in zip(clips.frames, clips.labels, strict=True)
    ]
    assert sorted(found) == sorted(expected)


def test_frames_can_be_stacked(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    single = FolderRequest("timit", tmp_path / "TIMIT", steps=12, bands=10)
    stacked = FolderRequest("timit", tmp_path / "TIMIT", steps=4, bands=10, stack=3)
    flat, tall = (load_folder(one, "test", tmp_path / "c")[0] for one in (single, stacked))
    assert tall.frame_shape == (30,)
    np.testing.assert_array_equal(tall.frames, flat.frames.reshape(len(flat), 4, 30))


def test_timit_folding_is_that_of_lee_and_hon() -> None:
    assert len(TIMIT_FOLDING) == 60  # 61 without q
    kaldi = {"ao": "aa", "ax-h": "ah", "axr": "er", "nx": "n", "zh": "sh", "ux": "uw"}
    kaldi |= {"epi": "sil", "dcl": "sil", "pau": "sil", "h#": "sil", "eng": "ng", "hv": "hh"}
    assert {phone: TIMIT_FOLDING[phone] for phone in kaldi} == kaldi


def test_copies_converted_to_riff_are_no_second_recording(tmp_path: Path) -> None:
    made = timit(tmp_path / "TIMIT")
    for path in list((tmp_path / "TIMIT").rglob("*.WAV")):
        key = "/".join(path.with_suffix("").parts[-4:]).lower().replace("dr1/", "")
        write_wav(path.with_name(path.name + ".wav"), made.get(key, noise(9600, 9)))
    assert len(list_folder(FolderRequest("timit", tmp_path / "TIMIT")).clips) == 56


def test_a_damaged_label_file_names_its_line(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    path = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX37.PHN"
    path.write_text("0 100 h#\n100 90 sh\n")
    with pytest.raises(DataError, match=r"SX37\.PHN: line 2 = '100 90 sh'"):
        list_folder(FolderRequest("timit", tmp_path / "TIMIT"))


def test_labels_without_a_recording_are_noted(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    (tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV").unlink()
    listing = list_folder(FolderRequest("timit", tmp_path / "TIMIT"))
    assert len(listing.clips) == 49
    assert listing.notes == (
        "left out, without a recording beside it: 1 (TRAIN/DR1/FCJF0/SX37.PHN)",
    )


def test_a_damaged_recording_is_skipped(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    path = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV"
    path.write_bytes(b"nothing that FFmpeg knows")
    request = FolderRequest("timit", tmp_path / "TIMIT")
    clips, report = load_folder(request, "train", tmp_path / "cache")
    assert len(clips) == 21 and len(report.skipped) == 7


def cut_short(path: Path, samples: int) -> None:
    """As after a copy that broke off: the header still promises all samples."""
    path.write_bytes(path.read_bytes()[: 1024 + 2 * samples])


def test_phones_behind_the_end_of_a_recording_are_no_silence(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    path = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV"
    cut_short(path, 7500)
    request = FolderRequest("timit", tmp_path / "TIMIT", steps=3)
    clips, report = load_folder(request, "train", tmp_path / "cache")
    # Gone are `t`, of which 500 samples are missing, and `h#`, which is not there at all.
    assert len(clips) == 4 * 7 - 2
    assert Counter(clips.classes[label] for label in clips.labels)["t"] == 3
    assert clips.frames.any(axis=(1, 2)).all()
    assert [problem.path for problem in report.skipped] == ["TRAIN/DR1/FCJF0/SX37.WAV"] * 2
    assert sorted(problem.reason for problem in report.skipped) == [
        "lies behind the recording's end (7,500 samples are there, it needs 8,000)",
        "lies behind the recording's end (7,500 samples are there, it needs 9,600)",
    ]
    assert any("clips that cannot be used: 2 (" in note for note in report.notes)


def test_windows_are_padded_at_the_end_of_a_sentence_and_not_where_it_was_cut(
    tmp_path: Path,
) -> None:
    made = timit(tmp_path / "TIMIT")
    path = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV"
    cut_short(path, 8100)
    # The window of `t` (7100 to 8000) reaches sample 9,000: those frames were recorded and lost.
    request = FolderRequest("timit", tmp_path / "TIMIT", bands=20, unreadable_share=0.5)
    clips, report = load_folder(request, "train", tmp_path / "cache")
    assert Counter(clips.classes[label] for label in clips.labels)["t"] == 3
    assert len(report.skipped) == 3  # and `tcl`, whose window reaches sample 8,270, and `h#`
    # A whole recording is padded as before: its last `h#` has no more frames behind it.
    codes = reference_codes(made["train/mdab0/sx37"], 20)
    first = round(((8000 + 9600) / 2 - 200) / 160) - 10
    expected = np.zeros((21, 20), np.uint8)
    expected[: len(codes) - first] = codes[first:]
    assert expected[-1].sum() == 0
    assert any(np.array_equal(frames, expected) for frames in clips.frames)


# --- TED-LIUM -----------------------------------------------------------------------------------

STM = """;; a comment
{talk} 1 {talk} 0.00 0.40 <NA> ignore_time_segment_in_scoring
{talk} 1 {talk} 0.40 0.90 <o,f0,female> first words (suffix)
{talk} 1 inter_segment_gap 0.90 1.00 <o,,unknown>
{talk} 1 {talk} 1.00 1.20 <F0_M> second
{talk} 1 {talk} 1.20 1.40 <NA> third
"""


def ted_lium(root: Path) -> dict[str, np.ndarray]:
    made = {}
    for number, (split, talk) in enumerate(
        (("train", "Ada_2010"), ("train", "Bob_2011"), ("dev", "Cy_2012"), ("test", "Di_2013"))
    ):
        made[talk] = noise(24_000, number)
        write_sphere(root / split / "sph" / f"{talk}.sph", made[talk])
        (root / split / "stm").mkdir(parents=True, exist_ok=True)
        (root / split / "stm" / f"{talk}.stm").write_text(STM.format(talk=talk))
    return made


def test_ted_lium_gives_one_clip_an_utterance(tmp_path: Path) -> None:
    made = ted_lium(tmp_path / "TEDLIUM_release1")
    request = FolderRequest("ted-lium", tmp_path / "TEDLIUM_release1", steps=30, bands=10)
    for split, talks in (("train", ["Ada_2010", "Bob_2011"]), ("test", ["Di_2013"])):
        clips, report = load_folder(request, split, tmp_path / "cache")
        expected = []
        for talk in talks:
            codes = reference_codes(made[talk], 10).astype(np.uint8)
            # 0.4 to 0.9 s: longer than 30 frames, whose first are kept. 1.0 to 1.2 s: frames
            # 100 to 117 lie wholly in it, and are the last of the clip.
            short = np.concatenate([np.zeros((12, 10), np.uint8), codes[100:118]])
            expected += [(codes[40:70].tobytes(), "female"), (short.tobytes(), "male")]
        found = [
            (frames.tobytes(), clips.classes[label])
            for frames, label in zip(clips.frames, clips.labels, strict=True)
        ]
        assert sorted(found) == sorted(expected)
        assert "left out, without a gender: 4 utterances of 4 talks" in report.notes


def test_utterances_that_were_cut_are_not_shorter_ones(tmp_path: Path) -> None:
    ted_lium(tmp_path)
    # The second utterance, 1.0 to 1.2 s, is cut at 1.1 s; of the first the clip's frames are there.
    cut_short(tmp_path / "train" / "sph" / "Ada_2010.sph", 17_600)
    request = FolderRequest("ted-lium", tmp_path, steps=30, bands=10)
    clips, report = load_folder(request, "train", tmp_path / "cache")
    assert len(clips) == 3
    assert [problem.reason for problem in report.skipped] == [
        "lies behind the recording's end (17,600 samples are there, it needs 19,120)"
    ]


def test_dev_talks_are_in_no_split(tmp_path: Path) -> None:
    ted_lium(tmp_path)
    listing = list_folder(FolderRequest("ted-lium", tmp_path))
    assert {clip.group: clip.published for clip in listing.clips} == {
        "ada_2010": ("train",),
        "bob_2011": ("train",),
        "cy_2012": ("",),
        "di_2013": ("test",),
    }


def test_release_3_keeps_held_out_talks_out_of_training(tmp_path: Path) -> None:
    ted_lium(tmp_path / "legacy")
    (tmp_path / "legacy" / "train").rename(tmp_path / "data")
    for kind in ("sph", "stm"):  # a test talk lies in `data` as well
        source = tmp_path / "legacy" / "test" / kind / f"Di_2013.{kind}"
        copied = source.read_bytes() + (
            b"Di_2013 1 Di_2013 1.4 1.5 <F0_M> x" if kind == "stm" else b""
        )
        (tmp_path / "data" / kind / source.name).write_bytes(copied)
    listing = list_folder(FolderRequest("ted-lium", tmp_path))
    splits = {clip.group: clip.published[0] for clip in listing.clips}
    assert splits == {"ada_2010": "train", "bob_2011": "train", "cy_2012": "", "di_2013": "test"}
    assert len(listing.clips) == 8


def test_talks_without_any_gender_say_why_nothing_is_left(tmp_path: Path) -> None:
    ted_lium(tmp_path)
    for path in (tmp_path / "train" / "stm").iterdir():
        path.write_text(f"{path.stem} 1 {path.stem} 0.4 0.9 <NA> words\n")
    with pytest.raises(DataError, match=r"no clip to train .*without a gender: 4 utterances"):
        load_folder(FolderRequest("ted-lium", tmp_path), "train", tmp_path / "cache")


def test_a_damaged_transcript_names_its_line(tmp_path: Path) -> None:
    ted_lium(tmp_path)
    path = tmp_path / "train" / "stm" / "Ada_2010.stm"
    path.write_text("Ada_2010 1 Ada_2010 5.0 4.0 <o,f0,female> words\n")
    with pytest.raises(DataError, match=r"Ada_2010\.stm: line 1"):
        list_folder(FolderRequest("ted-lium", tmp_path))


def test_windows_beyond_the_ends_are_zero() -> None:
    codes = np.arange(1, 13, dtype=np.uint8).reshape(6, 2)
    found = cut_window(codes, -2, 4)
    np.testing.assert_array_equal(found, [[0, 0], [0, 0], [1, 2], [3, 4]])
    np.testing.assert_array_equal(cut_window(codes, 5, 2), [[11, 12], [0, 0]])
    np.testing.assert_array_equal(cut_window(codes, 50, 1), [[0, 0]])

"""Speech corpora as clips with one label each: TIMIT's phones, TED-LIUM's utterances."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fdht_models.data.folders.joins import Join, join
from fdht_models.data.folders.listing import Clip, FolderSet, Listing, Problem
from fdht_models.data.folders.sentences import archive_notes, copy_notes, left_out_notes
from fdht_models.data.folders.tree import Tree, damaged_line, nothing_found, read_lines, walk, words
from fdht_models.errors import DataError
from fdht_models.preprocessing.log_mel import (
    HOP,
    RATE,
    WINDOW,
    cut_window,
    frames_in,
    log_mel,
    sound_parts,
)
from fdht_models.preprocessing.protocols import pad_front

#: TIMIT's 61 phones folded to the 39 of Lee and Hon (1989). The glottal stop q is left out.
_KEPT = words(
    """
    aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh t th uh uw v w
    y z
    """
)
_FOLDED = words(
    """
    ao:aa ax:ah ax-h:ah axr:er hv:hh ix:ih el:l em:m en:n nx:n eng:ng zh:sh ux:uw
    bcl:sil dcl:sil gcl:sil kcl:sil pcl:sil tcl:sil epi:sil pau:sil h#:sil
    """
)
TIMIT_FOLDING = {phone: phone for phone in _KEPT} | dict(pair.split(":") for pair in _FOLDED)
_SOUNDS = (".wav", ".sph", ".flac")
_SPEAKER = re.compile(r"[FM]\w{3}\d", re.IGNORECASE)
_IGNORED = "ignore_time_segment_in_scoring"
_GENDERS = {"female": "female", "male": "male", "f": "female", "m": "male"}


def list_timit(root: Path, known: FolderSet) -> Listing:
    """Lists the phones of all sentences but SA1 and SA2, which every speaker reads.

    A clip is one phone of the `.PHN` file, folded to 39 classes; glottal stops are left out. Its
    group is the speaker; no speaker is in both published splits.

    Raises:
        DataError: no phones are there, or a label file is not as published.
    """
    tree = walk(root, known.title)
    labels: dict[str, PurePosixPath] = {}
    misplaced: list[PurePosixPath] = []
    for path in tree.of_type((".phn",)):
        if _timit_place(path) is None:
            misplaced.append(path)
        elif not _read_by_everybody(path):
            labels.setdefault(_base(path), path)
    sounds = {base: path for base, path in _sounds(tree).items() if not _read_by_everybody(path)}
    joined = join(labels, sounds.items(), _empty_bases(tree))
    clips: dict[str, Clip] = {}
    copies: list[PurePosixPath] = []
    sentences: set[str] = set()
    for path, sound in joined.pairs:
        place = _timit_place(path)
        assert place is not None
        split, speaker = place
        sentence = f"{split}/{speaker}/{path.stem.lower()}"
        if sentence in sentences:
            copies.append(path)
            continue
        sentences.add(sentence)
        phones, extent = _phones(root / path)
        for number, (first, last, phone) in enumerate(phones):
            key, label = f"{sentence}/{number:03d}", (known.classes.index(phone),)
            clips[key] = Clip(key, str(sound), label, speaker, (split,), (first, last), extent)
    if not clips:
        raise nothing_found(tree, known)
    notes = (
        *archive_notes(tree.archives),
        *_lone_notes(joined, ".PHN"),
        *left_out_notes(misplaced, "not in <TRAIN|TEST>/DR<1-8>/<speaker>"),
        *copy_notes(copies),
    )
    listed = tuple(clips[key] for key in sorted(clips))
    return Listing(root, known.classes, listed, tuple(_empty(tree)), notes)


def list_ted_lium(root: Path, known: FolderSet) -> Listing:
    """Lists the utterances of `<split>/stm/*.stm`; the label is the speaker's gender.

    It is the one label a clip that the corpus itself carries. Utterances without it (release 3
    tags its training talks <NA>) and those to be ignored are left out. Of `dev`, nothing is used.

    Raises:
        DataError: no talk is there, or a transcript is not as published.
    """
    tree = walk(root, known.title)
    labels: dict[str, PurePosixPath] = {}
    misplaced: list[PurePosixPath] = []
    for path in tree.of_type((".stm",)):
        if _ted_lium_split(path) is None:
            misplaced.append(path)
        else:
            labels.setdefault(_base(path.parent.parent / "sph" / path.name), path)
    joined = join(labels, _sounds(tree).items(), _empty_bases(tree))
    clips: dict[str, Clip] = {}
    splits: dict[str, str] = {}
    unlabelled = talks = 0
    for path, sound in sorted(joined.pairs, key=lambda pair: _held_out_first(pair[0])):
        split, talk = _ted_lium_split(path), path.stem.lower()
        assert split is not None
        if splits.setdefault(talk, split) != split:
            continue
        talks += 1
        for number, (first, last, gender) in enumerate(_utterances(root / path)):
            unlabelled += gender is None
            key = f"{talk}/{number:04d}"
            if gender is None or key in clips:
                continue
            label = known.classes.index(gender)
            clips[key] = Clip(key, str(sound), (label,), talk, (split,), (first, last))
    if not clips:
        raise nothing_found(tree, known)
    notes = [
        *archive_notes(tree.archives),
        *_lone_notes(joined, ".stm"),
        *left_out_notes(misplaced, "not in <train|dev|test>/stm"),
    ]
    remedy = ""
    if unlabelled:
        notes.append(f"left out, without a gender: {unlabelled} utterances of {talks} talks")
        remedy = "take release 1 or 2, whose training talks carry the speaker's gender"
    listed = tuple(clips[key] for key in sorted(clips))
    return Listing(root, known.classes, listed, tuple(_empty(tree)), tuple(notes), remedy=remedy)


class SpeechReader:
    """Cuts clips out of recordings, of which the last is kept.

    Args:
        root: the folder.
        steps: frames a clip as the network sees them.
        bands: mel filters.
        stack: frames of 10 ms in one frame as the network sees it.
        centred: a window about the middle of the span (phones); otherwise the span's first
            frames, with zeros before them where it is short (utterances).
    """

    def __init__(self, root: Path, steps: int, bands: int, stack: int, centred: bool) -> None:
        self._root, self._steps, self._stack = root, steps, stack
        self._bands, self._centred = bands, centred
        self._path, self._samples, self._codes = "", 0, np.zeros((0, bands), np.uint8)

    def read(self, clip: Clip) -> NDArray[np.uint8]:
        """Returns uint8 [steps, stack * bands].

        Before the recording's start, behind its end and before a short utterance stand zeros; never
        for sound that the labels promise and that is not there.

        Raises:
            DataError: the recording cannot be read, or ends before the clip does.
        """
        assert clip.span is not None
        if clip.path != self._path:
            parts = sound_parts(self._root / clip.path, may_be_cut=True)
            samples = np.concatenate([np.zeros(0, np.float32), *parts])
            self._codes, self._samples = log_mel(samples, self._bands), len(samples)
            self._path = clip.path
        count = self._steps * self._stack
        first, last = clip.span
        if self._centred:
            start = round(((first + last) / 2 - WINDOW / 2) / HOP) - count // 2
            stop = start + count
        else:
            start = first // HOP
            stop = min(max(start + 1, (last - WINDOW) // HOP + 1), start + count)
            last = (stop - 1) * HOP + WINDOW
        self._check_there(clip, start, stop, last)
        frames = cut_window(self._codes, start, stop - start)
        return pad_front(frames, count).reshape(self._steps, -1)

    def _check_there(self, clip: Clip, start: int, stop: int, last: int) -> None:
        """Refuses a clip that lacks a sample before `last`, or a promised frame before `stop`."""
        promised = self._samples if clip.extent is None else clip.extent
        stop = min(stop, frames_in(promised))
        need = max(last, (stop - 1) * HOP + WINDOW)
        why = ""
        if need > self._samples:
            why = (
                f"lies behind the recording's end ({self._samples:,} samples are there, "
                f"it needs {need:,})"
            )
        elif stop <= max(start, 0):
            why = "has no whole frame of 25 ms in the recording"
        if why:
            where = f"{self._root / clip.path}: {clip.key}"
            raise DataError(why, field=where, remedy="unpack the recording again")


def _sounds(tree: Tree) -> dict[str, PurePosixPath]:
    # Without suffixes and in lower case: SA1.WAV, sa1.wav, and the SA1.WAV.wav of some copies.
    found: dict[str, PurePosixPath] = {}
    for path in tree.of_type(_SOUNDS):
        found.setdefault(_base(path), path)
    return found


def _base(path: PurePosixPath) -> str:
    name = path.name.lower()
    while (stem := PurePosixPath(name)).suffix in (*_SOUNDS, ".phn", ".stm"):
        name = stem.stem
    return str(path.parent / name).lower()


def _empty(tree: Tree) -> list[Problem]:
    return tree.empty_of_type((*_SOUNDS, ".phn", ".stm"))


def _empty_bases(tree: Tree) -> set[str]:
    return {_base(path) for path in tree.empty}


def _lone_notes(joined: Join[PurePosixPath, PurePosixPath], labels: str) -> list[str]:
    """Sentences on labels without a recording, and on recordings without labels."""
    return [
        *left_out_notes(joined.absent, "without a recording beside it"),
        *left_out_notes(joined.unlisted, f"without its {labels} file"),
    ]


def _read_by_everybody(path: PurePosixPath) -> bool:
    # The sentences SA1 and SA2.
    return path.name.lower().startswith("sa")


def _timit_place(path: PurePosixPath) -> tuple[str, str] | None:
    """(split, speaker) of a label file."""
    if path.suffix.lower() != ".phn" or len(path.parts) < 4:
        return None
    split, region, speaker = (part.lower() for part in path.parts[-4:-1])
    known = split in ("train", "test") and region.startswith("dr") and _SPEAKER.fullmatch(speaker)
    return (split, speaker) if known else None


def _phones(file: Path) -> tuple[list[tuple[int, int, str]], int]:
    """(first, last, phone) of each but glottal stops, and where the last one of all ends."""
    phones = []
    extent = 0
    for number, line in enumerate(read_lines(file), 1):
        words = line.split()
        try:
            first, last, phone = int(words[0]), int(words[1]), words[2].lower()
            if first >= last or (phone != "q" and phone not in TIMIT_FOLDING):
                raise ValueError
        except (IndexError, ValueError):
            why = "is not '<first sample> <last sample> <phone>'"
            raise damaged_line(file, number, line, why) from None
        extent = max(extent, last)
        if phone != "q":
            phones.append((first, last, TIMIT_FOLDING[phone]))
    return phones, extent


def _ted_lium_split(path: PurePosixPath) -> str | None:
    if len(path.parts) < 3 or path.parent.name.lower() != "stm":
        return None
    # Release 3 keeps the training talks in `data`, with links to them in `legacy/train`.
    known = {"train": "train", "test": "test", "dev": "", "data": "train"}
    return known.get(path.parent.parent.name.lower())


def _held_out_first(path: PurePosixPath) -> tuple[bool, str]:
    # A talk of dev or test that lies in `data` as well must not become a training talk.
    return _ted_lium_split(path) == "train", str(path)


def _utterances(file: Path) -> list[tuple[int, int, str | None]]:
    """[first, last) in samples, and the gender or None."""
    found: list[tuple[int, int, str | None]] = []
    for number, line in enumerate(read_lines(file), 1):
        if line.startswith(";;"):
            continue
        words = line.split(maxsplit=6)
        try:
            start, stop = float(words[3]), float(words[4])
            if not 0 <= start < stop:
                raise ValueError
        except (IndexError, ValueError):
            why = "is not '<talk> <channel> <speaker> <start> <end> <label> <words>'"
            raise damaged_line(file, number, line, why) from None
        text = words[6].strip().lower() if len(words) > 6 else ""
        if text == _IGNORED or words[2] == "inter_segment_gap":
            continue
        tag = words[5] if len(words) > 5 else ""
        # <o,f0,female> of all releases, <F0_M> of the dev talks; <NA> of release 3.
        gender = _GENDERS.get(re.split("[,_]", tag.strip("<>"))[-1].lower())
        found.append((round(start * RATE), round(stop * RATE), gender))
    return found

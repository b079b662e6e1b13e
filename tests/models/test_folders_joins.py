"""Joins of lists and files: no clip and no line of a list is lost without a word."""

import unicodedata
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, list_folder, load_folder
from fdht_models.data.folders.joins import join, name_key
from fdht_models.errors import DataError
from tests.models.folders_samples import SIZE, random_frames, write_video
from tests.models.test_folders_shd import random_spikes, write_shd
from tests.models.test_folders_speech import ted_lium, timit

LISTS = "testTrainMulti_7030_splits"


def hmdb51(root: Path, suffix: str = ".avi", clips: int = 6) -> Path:
    """Two classes, with lists that name .avi: four clips of each train and the rest test."""
    video = write_video(root.parent / "one.avi", random_frames(8, 0)).read_bytes()
    (root / LISTS).mkdir(parents=True)
    for label in ("run", "walk"):
        (root / label).mkdir()
        names = [f"Film{number}_{label}_f_cm_np1_fr_med_{number}" for number in range(clips)]
        for name in names:
            (root / label / (name + suffix)).write_bytes(video)
        for fold in (1, 2, 3):
            lines = [f"{name}.avi {1 if place < 4 else 2} \n" for place, name in enumerate(names)]
            (root / LISTS / f"{label}_test_split{fold}.txt").write_text("".join(lines))
    return root


def trained(root: Path, name: str = "hmdb51") -> tuple[Counter[str], tuple[str, ...]]:
    """How often each class trains, and the report's notes."""
    request = FolderRequest(name, root, **SIZE)
    clips, report = load_folder(request, "train", root.parent / "cache")
    return Counter(clips.classes[label] for label in clips.labels), report.notes


def test_a_join_returns_what_either_side_has_left() -> None:
    found = join({"a": 1, "b": 2, "c": 3}, [("b", "B"), ("x", "X"), ("b", "B2"), ("y", "Y")], "cy")
    assert found.pairs == ((2, "B"), (2, "B2"))
    assert found.absent == (1,)
    assert found.unlisted == ("X",)


def test_names_are_compared_without_case_suffix_and_form() -> None:
    name = "M\u00e4dchen.v1.AVI"
    decomposed = unicodedata.normalize("NFD", "m\u00c4dchen.v1.mp4")
    assert name_key(name, (".avi",)) == name_key(decomposed, (".mp4",)) == "m\u00e4dchen.v1"
    assert name_key("a.b", (".avi",)) == "a.b"


# --- HMDB51 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".MKV"])
def test_converted_clips_are_found_in_lists_that_name_avi(suffix: str, tmp_path: Path) -> None:
    counts, notes = trained(hmdb51(tmp_path / "hmdb51", suffix))
    assert counts == {"run": 4, "walk": 4}
    assert not any("list" in note for note in notes)


def test_a_class_without_lists_is_told(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51")
    for file in (root / LISTS).glob("walk*"):
        file.unlink()
    counts, notes = trained(root)
    assert counts == {"run": 4}
    assert any(note.startswith("6 clips of walk are in no list (") for note in notes)
    assert any("lists that are not there: 3 (walk_test_split1.txt, " in note for note in notes)
    assert "classes without a clip to train: walk" in notes
    assert "classes without a clip to test: walk" in notes


def test_names_that_no_list_has_are_refused_with_the_right_remedy(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51")
    for path in [*(root / "run").iterdir(), *(root / "walk").iterdir()]:
        path.rename(path.with_name("new_" + path.name))
    with pytest.raises(DataError) as caught:
        trained(root)
    text = f"{caught.value.problem}; {caught.value.remedy}"  # the line itself is cut short
    assert "6 clips of run, 6 clips of walk are in no list (" in text
    assert "listed in testTrainMulti_7030_splits but not there: 12 (run/Film0_run_" in text
    assert "name the clips and their folders as the lists do" in text
    assert "complete" not in text


def test_leftovers_of_both_sides_and_of_one_division(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51")
    (root / "run" / "Film5_run_f_cm_np1_fr_med_5.avi").unlink()
    (root / "run" / "Film0_run_f_cm_np1_fr_med_0.avi").rename(root / "run" / "own.avi")
    (root / "run" / "Film1_run_f_cm_np1_fr_med_1.avi").write_bytes(b"")
    second = root / LISTS / "walk_test_split2.txt"
    second.write_text("\n".join(second.read_text().splitlines()[1:]))
    notes = list_folder(FolderRequest("hmdb51", root)).notes
    assert "1 clip of run is in no list (own.avi)" in notes
    # An empty file is told as such, not as one that is not there.
    assert (
        f"left out, listed in {LISTS} but not there: 2 (run/Film0_run_f_cm_np1_fr_med_0.avi, "
        "run/Film5_run_f_cm_np1_fr_med_5.avi)" in notes
    )
    assert any(note.startswith("left out, where a division's list does not name it: 1 (walk/Film0")
               for note in notes)  # fmt: skip


def test_lists_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51")
    file = root / LISTS / "run_test_split1.txt"
    file.write_text(file.read_text() + "Film0_run_f_cm_np1_fr_med_0.avi 2\n")
    with pytest.raises(DataError, match=r"run_test_split1\.txt: line 7 .*contradicts a line"):
        list_folder(FolderRequest("hmdb51", root))


def test_many_classes_are_summed_up(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51")
    for number, label in enumerate("abcde"):
        for place in range(number + 1):
            path = root / label / f"{label}{place}.avi"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"video")
    notes = list_folder(FolderRequest("hmdb51", root)).notes
    expected = "5 clips of e, 4 clips of d, 3 clips of c, 3 clips of 2 more classes are in no list"
    assert any(note.startswith(expected) for note in notes)


def test_a_class_whose_clips_cannot_be_decoded_is_told(tmp_path: Path) -> None:
    root = hmdb51(tmp_path / "hmdb51", clips=8)
    rare = root / "walk"
    for path in sorted(rare.iterdir())[1:]:
        path.unlink()
    next(rare.iterdir()).write_bytes(b"no video")
    counts, notes = trained(root)
    assert counts == {"run": 4}
    assert "classes without a clip to train: walk" in notes


# --- Hollywood2 ---------------------------------------------------------------------------------


def hollywood2(root: Path, suffix: str = ".avi") -> Path:
    for split in ("train", "test"):
        for number in (1, 2):
            path = root / "AVIClips" / f"actionclip{split}{number:05d}{suffix}"
            write_video(path, random_frames(7, number))
        for label, codes in {"Run": (1, -1), "SitUp": (-1, 1)}.items():
            lines = [f"actionclip{split}{place:05d}  {code}" for place, code in enumerate(codes, 1)]
            file = root / "ClipSets" / f"{label}_{split}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text("\n".join(lines))
    return root


def test_hollywood2_tells_labels_without_lists_and_clips_without_labels(tmp_path: Path) -> None:
    root = hollywood2(tmp_path / "Hollywood2", ".mp4")
    (root / "ClipSets" / "Run_train.txt").unlink()
    counts, notes = trained(root, "hollywood2")
    assert counts == {"SitUp": 1}
    assert any("lists that are not there: 21 (" in note for note in notes)
    expected = "with none of the labels whose lists are there: 1 (actioncliptrain00001.mp4)"
    assert f"left out, {expected}" in notes
    assert "classes without a clip to train: Run" in notes


def test_hollywood2_tells_videos_in_no_list(tmp_path: Path) -> None:
    root = hollywood2(tmp_path / "Hollywood2")
    (root / "AVIClips" / "holiday.avi").write_bytes(b"video")
    # Of the noisy training set and of the scenes, which are no part of what is read.
    (root / "AVIClips" / "actionclipautoautotrain00001.avi").write_bytes(b"video")
    (root / "AVIClips" / "sceneclipautoautotrain00001.avi").write_bytes(b"video")
    notes = list_folder(FolderRequest("hollywood2", root)).notes
    assert "1 clip is in no list (holiday.avi)" in notes


# --- sound and spikes ---------------------------------------------------------------------------


def test_timit_tells_recordings_without_labels_and_labels_in_no_place(tmp_path: Path) -> None:
    timit(tmp_path / "TIMIT")
    speaker = tmp_path / "TIMIT" / "TRAIN" / "DR1" / "FCJF0"
    (speaker / "SX37.PHN").rename(tmp_path / "TIMIT" / "SX37.PHN")
    (speaker / "SA1.PHN").unlink()  # not used
    (speaker / "SI648.WAV").write_bytes(b"")  # told as empty
    assert list_folder(FolderRequest("timit", tmp_path / "TIMIT")).notes == (
        "left out, without its .PHN file: 1 (TRAIN/DR1/FCJF0/SX37.WAV)",
        "left out, not in <TRAIN|TEST>/DR<1-8>/<speaker>: 1 (SX37.PHN)",
    )


def test_ted_lium_tells_both_sides(tmp_path: Path) -> None:
    ted_lium(tmp_path)
    (tmp_path / "train" / "stm" / "Ada_2010.stm").unlink()
    (tmp_path / "test" / "sph" / "Di_2013.sph").unlink()
    notes = list_folder(FolderRequest("ted-lium", tmp_path)).notes
    assert "left out, without a recording beside it: 1 (test/stm/Di_2013.stm)" in notes
    assert "left out, without its .stm file: 1 (train/sph/Ada_2010.sph)" in notes


def test_shd_tells_files_of_other_names(tmp_path: Path) -> None:
    for name in ("shd_train.h5", "ssc_test.h5", "copy/shd_train.h5"):
        write_shd(tmp_path / name, [random_spikes(40, 0)] * 2, [0, 1], [0, 1])
    assert list_folder(FolderRequest("shd", tmp_path)).notes == (
        "no file shd_test.h5",
        "left out, not named as published: 1 (ssc_test.h5)",
        "copies of clips that are there already, left out: 1 (shd_train.h5)",
    )


def test_shd_with_fewer_units_than_times_is_refused(tmp_path: Path) -> None:
    file = write_shd(tmp_path / "shd_train.h5", [random_spikes(40, 0)] * 3, [0, 1], [0, 1])
    with h5py.File(file, "a") as opened:
        units = [opened["spikes/units"][number] for number in range(2)]
        del opened["spikes/units"]
        data = opened.create_dataset("spikes/units", (2,), dtype=h5py.vlen_dtype(np.uint16))
        for number, values in enumerate(units):
            data[number] = values
    with pytest.raises(DataError, match="different lengths"):
        list_folder(FolderRequest("shd", tmp_path))

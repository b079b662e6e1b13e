"""Every video set is found in its published layout, with the usual dirt around it."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from fdht_models.data.folders import FolderRequest, list_folder, load_folder
from fdht_models.errors import DataError
from tests.models.folders_samples import (
    SIZE,
    random_frames,
    ucf11,
    write_frameless_video,
    write_video,
)


def listing_of(name: str, root: Path) -> dict[str, tuple[str, str]]:
    """Key -> (class, group)."""
    listing = list_folder(FolderRequest(name, root))
    return {clip.key: (listing.classes[clip.labels[0]], clip.group) for clip in listing.clips}


def touch(path: Path, data: bytes = b"video") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_ucf11_takes_class_and_group_from_its_folders(tmp_path: Path) -> None:
    # In UCF11_updated_mpg the files of `basketball` are called "shooting".
    touch(tmp_path / "basketball/v_shooting_01/v_shooting_01_01.mpg")
    touch(tmp_path / "basketball/v_shooting_25/v_shooting_25_04.mpg")
    touch(tmp_path / "basketball/Annotation/v_shooting_01_01.xgtf")
    touch(tmp_path / "basketball/Annotation/v_shooting_01_01.avi")
    touch(tmp_path / "horse_riding/v_riding_15/v_riding_15_07.MPG")
    assert listing_of("ucf11", tmp_path) == {
        "basketball/v_shooting_01_01": ("basketball", "01"),
        "basketball/v_shooting_25_04": ("basketball", "25"),
        "horse_riding/v_riding_15_07": ("horse_riding", "15"),
    }


def test_ucf11_without_the_folders_of_groups(tmp_path: Path) -> None:
    touch(tmp_path / "biking/v_biking_02_03.avi")
    assert listing_of("ucf11", tmp_path) == {"biking/v_biking_02_03": ("biking", "02")}


def test_ucf50_takes_the_class_from_the_folder(tmp_path: Path) -> None:
    # The folder `Billiards` really holds `v_Billards_...`.
    touch(tmp_path / "Billiards/v_Billards_g01_c02.avi")
    touch(tmp_path / "YoYo/v_YoYo_g25_c05.avi")
    assert listing_of("ucf50", tmp_path) == {
        "Billiards/v_Billards_g01_c02": ("Billiards", "01"),
        "YoYo/v_YoYo_g25_c05": ("YoYo", "25"),
    }


def test_ytc_groups_by_person_and_video(tmp_path: Path) -> None:
    touch(tmp_path / "0188_03_021_al_pacino.avi")
    touch(tmp_path / "0189_03_022_al_pacino.avi")
    touch(tmp_path / "videos" / "0217_03_006_alanis_morissette.avi")
    touch(tmp_path / "03_al_pacino_01_001.avi")
    assert listing_of("ytc", tmp_path) == {
        "al_pacino/0188_03_021_al_pacino": ("al_pacino", "al_pacino/03"),
        "al_pacino/0189_03_022_al_pacino": ("al_pacino", "al_pacino/03"),
        "al_pacino/03_al_pacino_01_001": ("al_pacino", "al_pacino/01"),
        "alanis_morissette/0217_03_006_alanis_morissette": (
            "alanis_morissette",
            "alanis_morissette/03",
        ),
    }


def hmdb51(root: Path) -> None:
    lines = {"brush_hair": [], "wave": []}
    for name, place in (("April_09", 1), ("April_09", 2), ("My_Hair", 0)):
        file = f"{name}_brush_hair_u_nm_np1_ba_goo_{place}.avi"
        touch(root / "brush_hair" / file)
        lines["brush_hair"].append(file)
    file = "(Rad)Schlag_die_Bank!_wave_f_cm_np1_le_med_0.avi"
    touch(root / "wave" / file)
    lines["wave"].append(file)
    for name, files in lines.items():
        for fold in (1, 2, 3):
            text = "".join(f"{file} {(place + fold) % 3} \n" for place, file in enumerate(files))
            touch(
                root / "testTrainMulti_7030_splits" / f"{name}_test_split{fold}.txt", text.encode()
            )


@pytest.mark.parametrize("beside", [False, True])
def test_hmdb51_has_the_published_divisions(beside: bool, tmp_path: Path) -> None:
    root = tmp_path / "hmdb51_org"
    hmdb51(root)
    if beside:
        (root / "testTrainMulti_7030_splits").rename(tmp_path / "testTrainMulti_7030_splits")
    listing = list_folder(FolderRequest("hmdb51", root))
    assert listing.classes == ("brush_hair", "wave")
    found = {clip.key.split("/")[1]: (clip.group, clip.published) for clip in listing.clips}
    assert found == {
        # Codes 1, 2, 0 in the three files: training, test, unused; and so on.
        "April_09_brush_hair_u_nm_np1_ba_goo_1": ("april_09", ("train", "test", "")),
        "April_09_brush_hair_u_nm_np1_ba_goo_2": ("april_09", ("test", "", "train")),
        "My_Hair_brush_hair_u_nm_np1_ba_goo_0": ("my_hair", ("", "train", "test")),
        "(Rad)Schlag_die_Bank!_wave_f_cm_np1_le_med_0": (
            "(rad)schlag_die_bank!",
            ("train", "test", ""),
        ),
    }


def test_hmdb51_without_its_lists_says_what_is_missing(tmp_path: Path) -> None:
    hmdb51(tmp_path)
    shutil.rmtree(tmp_path / "testTrainMulti_7030_splits")
    with pytest.raises(DataError, match=r"testTrainMulti_7030_splits/.*group-disjoint"):
        load_folder(FolderRequest("hmdb51", tmp_path), "train", tmp_path / "cache")


def test_hmdb51_with_a_damaged_list_names_the_line(tmp_path: Path) -> None:
    hmdb51(tmp_path)
    file = tmp_path / "testTrainMulti_7030_splits" / "wave_test_split2.txt"
    file.write_text("good.avi 1\nbad.avi 7\n")
    with pytest.raises(DataError, match=r"wave_test_split2\.txt: line 2"):
        list_folder(FolderRequest("hmdb51", tmp_path))


def hollywood2(root: Path) -> None:
    for split in ("train", "test"):
        for number in (1, 2, 3):
            touch(root / "AVIClips" / f"actionclip{split}{number:05d}.avi")
        for label, codes in {"Run": "1 -1 1", "SitUp": "-1 -1 1"}.items():
            text = "".join(
                f"actionclip{split}{place:05d}  {code}\n"
                for place, code in enumerate(codes.split(), 1)
            )
            touch(root / "ClipSets" / f"{label}_{split}.txt", text.encode())
    # Scenes, and the noisy training set: not of the twelve actions.
    touch(root / "ClipSets" / "EXT-house_test.txt", b"sceneclip00001  1\n")
    touch(root / "ClipSets" / "Run_autotrain.txt", b"actionclipautoautotrain00001  1\n")


def test_hollywood2_keeps_every_label_of_a_clip(tmp_path: Path) -> None:
    hollywood2(tmp_path / "Hollywood2")
    listing = list_folder(FolderRequest("hollywood2", tmp_path))
    found = {
        clip.key: ([listing.classes[label] for label in clip.labels], clip.published)
        for clip in listing.clips
    }
    assert found == {
        f"actionclip{split}{number:05d}": (labels, (split,))
        for split in ("train", "test")
        for number, labels in ((1, ["Run"]), (3, ["Run", "SitUp"]))
    }
    assert len(listing.classes) == 12


def test_hollywood2_names_listed_clips_that_are_absent(tmp_path: Path) -> None:
    hollywood2(tmp_path)
    (tmp_path / "AVIClips" / "actioncliptest00003.avi").unlink()
    listing = list_folder(FolderRequest("hollywood2", tmp_path))
    assert "actioncliptest00003" not in [clip.key for clip in listing.clips]
    assert any("not there: 1 (actioncliptest00003)" in note for note in listing.notes)


def test_a_clip_of_two_labels_is_two_samples(tmp_path: Path) -> None:
    hollywood2(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "AVIClips").iterdir())):
        write_video(path, random_frames(7, number))
    clips, report = load_folder(
        FolderRequest("hollywood2", tmp_path, **SIZE), "test", tmp_path / "cache"
    )
    names = [clips.classes[label] for label in clips.labels]
    assert sorted(names) == ["Run", "Run", "SitUp"]
    assert report.used == 3
    twice = names.index("SitUp")
    same = [np.array_equal(clips.frames[twice], frames) for frames in clips.frames]
    assert sum(same) == 2


# --- dirt ---------------------------------------------------------------------------------------


def test_dirt_changes_no_clip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clean, dirty = tmp_path / "clean", tmp_path / "dirty"
    ucf11(clean)
    ucf11(dirty)
    touch(dirty / "Thumbs.db")
    touch(dirty / ".DS_Store")
    touch(dirty / "biking" / "Thumbs.db")
    touch(dirty / "biking" / "v_biking_01" / "._v_biking_01_01.avi")
    touch(dirty / "__MACOSX" / "biking" / "v_biking_01" / "v_biking_01_08.avi")
    touch(dirty / "walking" / "v_walk_dog_01" / "readme.txt")
    touch(dirty / "UCF11_updated_mpg.rar")
    touch(dirty / "biking" / "holiday.avi")
    touch(dirty / "biking" / "v_biking_01" / "v_biking_01_07.avi", b"")
    touch(dirty / "biking" / "v_biking_01" / "v_biking_01_08.avi", b"RIFF and then nothing")
    write_frameless_video(dirty / "biking" / "v_biking_01" / "v_biking_01_09.avi")
    expected, _ = load_folder(FolderRequest("ucf11", clean, **SIZE), "train", tmp_path / "a")
    with caplog.at_level(logging.WARNING, "fdht_models.data.folders"):
        request = FolderRequest("ucf11", dirty, **SIZE)
        splits = {name: load_folder(request, name, tmp_path / "b") for name in ("train", "test")}
    found = {frames.tobytes() for clips, _ in splits.values() for frames in clips.frames}
    assert {frames.tobytes() for frames in expected.frames} <= found
    assert sum(len(clips) for clips, _ in splits.values()) == 20
    report = splits["train"][1]
    reasons = {Path(problem.path).stem: problem.reason for problem in report.skipped}
    assert reasons.keys() == {"v_biking_01_07", "v_biking_01_08", "v_biking_01_09"}
    assert reasons["v_biking_01_07"] == "is empty"
    assert "cannot be read" in reasons["v_biking_01_08"]
    assert reasons["v_biking_01_09"] == "holds no frame"
    logged = caplog.text
    assert "clips that cannot be used: 3 (" in logged
    assert "perhaps not unpacked: UCF11_updated_mpg.rar" in logged
    assert "left out, not named as published: 1 (biking/holiday.avi)" in logged
    assert "a folder beside the classes holds no clip: walking" in logged
    assert "the folder is incomplete: 22 of 1,600 files of UCF11" in logged
    assert "Annotation" not in logged


def test_double_folders_are_read_as_one(tmp_path: Path) -> None:
    ucf11(tmp_path / "single")
    ucf11(tmp_path / "UCF11" / "UCF11")
    requests = [FolderRequest("ucf11", tmp_path / name, **SIZE) for name in ("single", "UCF11")]
    single, double = (load_folder(one, "test", tmp_path / "c")[0] for one in requests)
    np.testing.assert_array_equal(single.frames, double.frames)
    np.testing.assert_array_equal(single.labels, double.labels)


def test_a_folder_that_lies_in_itself_again_gives_each_clip_once(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    shutil.copytree(tmp_path / "UCF11", tmp_path / "UCF11" / "UCF11")
    listing = list_folder(FolderRequest("ucf11", tmp_path / "UCF11"))
    assert len(listing.clips) == 20
    assert any("copies of clips that are there already, left out: 20" in n for n in listing.notes)


def test_links_that_lead_back_up_end(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    (tmp_path / "UCF11" / "biking" / "all").symlink_to(tmp_path / "UCF11")
    listing = list_folder(FolderRequest("ucf11", tmp_path / "UCF11"))
    assert len(listing.clips) == 20
    assert not any("copies" in note for note in listing.notes)


def test_upper_case_suffixes(tmp_path: Path) -> None:
    write_video(tmp_path / "a.avi", random_frames(6, 1))
    shutil.copy(tmp_path / "a.avi", touch(tmp_path / "YoYo" / "v_YoYo_g01_c01.AVI"))
    shutil.copy(tmp_path / "a.avi", touch(tmp_path / "YoYo" / "v_YoYo_g02_c01.Avi"))
    clips, _ = load_folder(FolderRequest("ucf50", tmp_path, folds=2, **SIZE), "test", tmp_path)
    np.testing.assert_array_equal(clips.frames[0], random_frames(6, 1).reshape(6, -1))


@pytest.mark.parametrize("name", ["ucf11", "ucf50", "hmdb51", "ytc", "hollywood2", "shd", "timit",
                                  "ted-lium"])  # fmt: skip
def test_a_folder_without_clips_says_what_was_looked_for_and_what_is_there(
    name: str, tmp_path: Path
) -> None:
    touch(tmp_path / "notes" / "readme.txt")
    touch(tmp_path / "everything.tar.gz")
    with pytest.raises(DataError) as caught:
        list_folder(FolderRequest(name, tmp_path))
    text = str(caught.value)
    request = FolderRequest(name, tmp_path)
    assert str(tmp_path) in text
    assert request.folder_set.title in text
    assert request.folder_set.layout in text
    assert "2 files (" in text and "1 .txt" in text and "1 .gz" in text
    assert "1 folders (notes)" in text
    assert "unpack everything.tar.gz" in text
    assert "\n" not in text


def test_an_empty_folder_is_called_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file with data in it"):
        list_folder(FolderRequest("ucf11", tmp_path))


def test_a_missing_folder_and_an_archive_instead_of_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        list_folder(FolderRequest("ucf11", tmp_path / "nowhere"))
    archive = touch(tmp_path / "UCF11_updated_mpg.rar")
    with pytest.raises(DataError, match=r"UCF11_updated_mpg\.rar: is an archive; unpack it"):
        list_folder(FolderRequest("ucf11", archive))


def test_too_many_unreadable_clips_are_refused(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11")
    videos = sorted((tmp_path / "UCF11").rglob("*.avi"))
    for path in videos[:6]:
        path.write_bytes(b"no video")
    request = FolderRequest("ucf11", tmp_path / "UCF11", **SIZE)
    with pytest.raises(DataError, match=r"6 of 20 clips cannot be used, 25% may: .* and 3 more"):
        load_folder(request, "train", tmp_path / "cache")
    lenient = FolderRequest("ucf11", tmp_path / "UCF11", unreadable_share=0.5, **SIZE)
    clips, report = load_folder(lenient, "train", tmp_path / "cache")
    assert len(report.skipped) == 6 and len(clips) < 16
    # What is in the cache by now does not get past the limit.
    with pytest.raises(DataError, match="6 of 20"):
        load_folder(request, "train", tmp_path / "cache")


def test_progress_leaves_standard_output_free(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ucf11(tmp_path / "UCF11", groups=2)
    request = FolderRequest("ucf11", tmp_path / "UCF11", folds=2, **SIZE)
    load_folder(request, "train", tmp_path / "cache", progress=True)
    assert capfd.readouterr().out == ""

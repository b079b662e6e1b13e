"""No group is ever in both splits, unless the leaky division is asked for by its name."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdht_models.data.folders import FOLDER_SETS, Clip, FolderRequest, Listing, load_folder
from fdht_models.data.folders.splits import assign_splits, group_folds, leaky_folds
from fdht_models.errors import ConfigError, DataError
from tests.models.folders_samples import SIZE, ucf11


def listing_of(clips: list[Clip], classes: int = 3) -> Listing:
    return Listing(Path("folder"), tuple(f"class {n}" for n in range(classes)), tuple(clips))


def clips_of(groups: int, each: int, classes: int = 3) -> list[Clip]:
    """As UCF11: a group number has clips of every class."""
    return [
        Clip(f"{label}/{group:02d}/{clip}", "v.avi", (label,), f"{group:02d}")
        for label in range(classes)
        for group in range(groups)
        for clip in range(each)
    ]


def splits_of(listing: Listing, fold: int, **settings: object) -> tuple[str, ...]:
    return assign_splits(listing, FolderRequest("ucf11", Path(), fold=fold, **settings).complete())


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 2)), min_size=5, max_size=40),
    folds=st.integers(2, 5),
    seed=st.integers(0, 3),
)
def test_groups_stay_whole_and_every_clip_is_tested_once(
    sizes: list[tuple[int, int]], folds: int, seed: int
) -> None:
    clips = [
        Clip(f"{group}/{clip}", "v.avi", (label,), f"group {group}")
        for group, (size, label) in enumerate(sizes)
        for clip in range(size)
    ]
    listing = listing_of(clips)
    tested: Counter[str] = Counter()
    for fold in range(folds):
        splits = splits_of(listing, fold, folds=folds, seed=seed)
        groups = {
            split: {clip.group for clip, s in zip(clips, splits, strict=True) if s == split}
            for split in ("train", "test")
        }
        assert groups["train"] and groups["test"]
        assert not groups["train"] & groups["test"]
        tested.update(clip.key for clip, s in zip(clips, splits, strict=True) if s == "test")
    assert tested == Counter(clip.key for clip in clips)


def test_folds_are_of_one_size_and_hold_every_class() -> None:
    clips = clips_of(groups=25, each=6)
    folds = group_folds(clips, 5, seed=0)
    assert set(Counter(folds).values()) == {len(clips) // 5}
    for fold in range(5):
        labels = Counter(c.labels[0] for c, f in zip(clips, folds, strict=True) if f == fold)
        assert labels == {0: 30, 1: 30, 2: 30}


def test_a_person_of_three_videos_has_one_in_each_of_three_folds() -> None:
    # As YouTube Celebrities: groups of one class, of very different sizes.
    clips = [
        Clip(f"{person}/{video}/{clip}", "v.avi", (person,), f"{person}/{video}")
        for person in range(6)
        for video in range(3)
        for clip in range(1 + (5 * person + 7 * video) % 11)
    ]
    folds = group_folds(clips, 3, seed=1)
    for person in range(6):
        found = {c.group: f for c, f in zip(clips, folds, strict=True) if c.labels[0] == person}
        assert sorted(found.values()) == [0, 1, 2]


def test_the_seed_changes_the_folds_and_nothing_else_does() -> None:
    clips = clips_of(groups=25, each=2)
    assert group_folds(clips, 5, 0) == group_folds(clips, 5, 0)
    assert group_folds(clips, 5, 0) != group_folds(clips, 5, 1)


def test_no_set_divides_leakily_by_default() -> None:
    for known in FOLDER_SETS.values():
        assert known.rules[0] != "leaky-per-clip"
        request = FolderRequest(known.name, Path("folder")).complete()
        assert request.fold_rule in ("group-disjoint", "published")


def test_the_leaky_division_leaks_and_says_so(tmp_path: Path) -> None:
    clips = clips_of(groups=25, each=6)
    splits = splits_of(listing_of(clips), 0, fold_rule="leaky-per-clip")
    groups = {
        split: {clip.group for clip, s in zip(clips, splits, strict=True) if s == split}
        for split in ("train", "test")
    }
    assert groups["train"] & groups["test"]
    assert Counter(splits) == {"train": 360, "test": 90}
    ucf11(tmp_path / "UCF11", groups=2)
    request = FolderRequest("ucf11", tmp_path / "UCF11", fold_rule="leaky-per-clip", **SIZE)
    _, report = load_folder(request, "train", tmp_path / "cache")
    assert any("leaky-per-clip" in note for note in report.notes)
    honest = FolderRequest("ucf11", tmp_path / "UCF11", folds=2, **SIZE)
    _, report = load_folder(honest, "train", tmp_path / "cache")
    assert not any("leaky" in note for note in report.notes)


def test_leaky_folds_test_every_clip_once() -> None:
    folds = leaky_folds(23, 5, 0)
    assert sorted(Counter(folds).values()) == [4, 4, 5, 5, 5]


def test_loaded_splits_share_no_group(tmp_path: Path) -> None:
    made = ucf11(tmp_path / "UCF11")
    for fold in range(5):
        request = FolderRequest(
            "ucf11", tmp_path / "UCF11", protocol="tt_rnn", steps=10, fold=fold, **SIZE
        )
        groups = []
        for split in ("train", "test"):
            clips, _ = load_folder(request, split, tmp_path / "cache")
            found = set()
            for frames in clips.frames:
                key = next(
                    key
                    for key, video in made.items()
                    if (frames[-len(video) :] == video.reshape(len(video), -1)[:10]).all()
                )
                found.add(key.split("_")[2])
            groups.append(found)
        assert len(groups[0]) == 4 and len(groups[1]) == 1
        assert not groups[0] & groups[1]


def test_clips_know_which_of_them_are_of_one_source(tmp_path: Path) -> None:
    made = ucf11(tmp_path / "UCF11")
    request = FolderRequest("ucf11", tmp_path / "UCF11", protocol="tt_rnn", steps=10, **SIZE)
    clips, _ = load_folder(request, "train", tmp_path / "cache")
    names = {}
    for frames, group in zip(clips.frames, clips.groups, strict=True):
        key = next(
            key
            for key, video in made.items()
            if (frames[-len(video) :] == video.reshape(len(video), -1)[:10]).all()
        )
        names.setdefault(int(group), set()).add(key.split("_")[2])
    assert len(names) == 4
    assert all(len(found) == 1 for found in names.values())
    part = clips.of(slice(3))
    assert len(part.frames) == len(part.labels) == len(part.groups) == 3


def test_published_divisions_are_taken_as_they_are() -> None:
    clips = [
        Clip("a", "a.avi", (0,), published=("train", "test", "")),
        Clip("b", "b.avi", (0,), published=("test", "", "train")),
        Clip("c", "c.avi", (1,), published=("", "train", "test")),
    ]
    for fold, expected in enumerate((("train", "test", ""), ("test", "", "train"))):
        request = FolderRequest("hmdb51", Path(), fold=fold).complete()
        assert assign_splits(listing_of(clips), request) == expected


def test_too_few_groups_or_clips() -> None:
    with pytest.raises(ConfigError, match=r"folds = 5: the folder holds only 4 groups"):
        splits_of(listing_of(clips_of(groups=4, each=3)), 0)
    with pytest.raises(ConfigError, match=r"folds = 9: the folder holds only 6 clips"):
        splits_of(listing_of(clips_of(groups=1, each=2)), 0, folds=9, fold_rule="leaky-per-clip")


def test_an_empty_split_is_refused() -> None:
    clips = [Clip("a", "a.avi", (0,), published=("train",))]
    request = FolderRequest("hollywood2", Path("somewhere")).complete()
    with pytest.raises(DataError, match=r"somewhere: leaves no clip to test"):
        assign_splits(listing_of(clips), request)


def test_a_class_in_one_split_only_is_noted(tmp_path: Path) -> None:
    ucf11(tmp_path / "UCF11", groups=3)
    for group in (2, 3):
        for path in (tmp_path / "UCF11" / "biking" / f"v_biking_{group:02d}").iterdir():
            path.unlink()
    notes = []
    for fold in range(3):
        request = FolderRequest("ucf11", tmp_path / "UCF11", folds=3, fold=fold, **SIZE)
        notes += load_folder(request, "test", tmp_path / "cache")[1].notes
    assert notes.count("classes without a clip to train: biking") == 1
    assert notes.count("classes without a clip to test: biking") == 2

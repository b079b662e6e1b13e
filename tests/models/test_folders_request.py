"""Settings are checked with their names; the catalogue says what was published."""

from pathlib import Path

import pytest

import fdht_models
from fdht_models.data import get_dataset
from fdht_models.data.folders import FOLDER_SETS, FolderRequest, get_folder_set, load_folder
from fdht_models.data.folders.sets import LISTERS
from fdht_models.documents import read_toml_file
from fdht_models.errors import ConfigError, DataError
from fdht_models.preprocessing.protocols import PROTOCOLS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "ucf12"}, "name = 'ucf12': there is no such set; did you mean 'ucf11'"),
        ({"protocol": "sixx"}, "protocol = 'sixx': .*did you mean 'six'"),
        ({"fold_rule": "leaky"}, "fold_rule = 'leaky': .*did you mean 'leaky-per-clip'"),
        ({"fold_rule": "published"}, "fold_rule = 'published': UCF11 has no such fold rule"),
        ({"feature": "motion"}, "feature = 'motion': .*did you mean 'motion_energy'"),
        ({"steps": 0}, "steps = 0: must be a whole number from 1"),
        ({"steps": 2.5}, "steps = 2.5: must be a whole number"),
        ({"height": True}, "height = True: must be a whole number"),
        ({"width": -1}, "width = -1: must be a whole number"),
        ({"fold": 5}, "fold = 5: there are 5 folds, numbered from 0; choose 0 to 4"),
        ({"fold": -1}, "fold = -1: must be a whole number"),
        ({"folds": 1}, "folds = 1: one fold leaves nothing to train on"),
        ({"seed": -1}, "seed = -1: must be a whole number"),
        ({"unreadable_share": 1.5}, "unreadable_share = 1.5: must be a number"),
        ({"unreadable_share": -0.1}, "unreadable_share = -0.1: must be a number"),
        ({"root": ""}, "root = '': must be a folder"),
        ({"name": "hmdb51", "folds": 5}, "folds = 5: HMDB51 has 3 published divisions"),
        ({"name": "hmdb51", "fold": 3}, "fold = 3: there are 3 folds"),
        ({"name": "hollywood2", "fold_rule": "group-disjoint"}, "names of Hollywood2's files do"),
        ({"name": "timit", "bands": 0}, "bands = 0: must be a whole number"),
        ({"name": "shd", "frame_ms": 0}, "frame_ms = 0: must be a number above 0"),
    ],
)
def test_impossible_settings(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FolderRequest(**{"name": "ucf11", "root": Path("folder"), **settings}).complete()


def test_defaults_are_written_out() -> None:
    request = FolderRequest("ucf11", Path("folder")).complete()
    assert (request.protocol, request.steps, request.feature) == ("six", 6, "pixels")
    assert (request.fold_rule, request.folds) == ("group-disjoint", 5)
    made = request.preprocessing()
    assert made.inputs == 57_600 and made.frame_shape == (120, 160, 3)
    assert request.complete() == request
    steps = {
        name: FolderRequest(name, Path("folder"), protocol="tt_rnn").complete().steps
        for name in ("ucf11", "hmdb51", "ytc", "hollywood2")
    }
    assert steps == {"ucf11": 1492, "hmdb51": 90, "ytc": 85, "hollywood2": 1496}
    assert FolderRequest("ytc", Path("folder")).complete().folds == 3
    assert FolderRequest("shd", Path("folder")).complete().preprocessing().inputs == 700
    stacked = FolderRequest("timit", Path("folder"), bands=40, stack=11).complete()
    assert stacked.preprocessing().inputs == 440


def test_the_catalogue_holds_what_was_published() -> None:
    assert list(FOLDER_SETS) == ["ucf11", "ucf50", "hmdb51", "ytc", "hollywood2", "shd", "timit",
                                 "ted-lium", "features", "folders"]  # fmt: skip
    found = {name: (known.class_count, dict(known.expected)) for name, known in FOLDER_SETS.items()}
    assert found["ucf11"] == (11, {"all": 1600})
    assert found["ucf50"] == (50, {"all": 6618})
    assert found["hmdb51"] == (51, {"all": 6766})
    assert found["ytc"] == (47, {"all": 1910})
    assert found["hollywood2"] == (12, {"train": 823, "test": 884})
    assert found["shd"] == (20, {"train": 8156, "test": 2264})
    for known in FOLDER_SETS.values():
        assert not known.classes or len(known.classes) == known.class_count
        assert len(set(known.classes)) == len(known.classes)
        assert set(known.protocols) <= set(PROTOCOLS)
        assert known.layout


def test_tables_that_modules_read_are_installed_with_them() -> None:
    package = Path(fdht_models.__file__).parent
    settings = read_toml_file(package.parents[1] / "pyproject.toml")["tool"]["setuptools"]
    patterns = settings["package-data"]["fdht_models"]
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path.name for path in set(package.rglob("*.toml")) - installed} == set()
    assert len(set(FOLDER_SETS) - set(LISTERS)) == 1, "a published set that nothing reads"


def test_unknown_sets_and_splits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'hollywood2'"):
        get_folder_set("hollywood")
    with pytest.raises(ConfigError, match="split = 'training'"):
        load_folder(FolderRequest("ucf11", tmp_path), "training", tmp_path / "cache")
    with pytest.raises(DataError):
        load_folder(FolderRequest("ucf11", tmp_path), "train", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []  # a refused folder costs no cache


def test_a_set_without_its_folder_says_that_it_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"UCF11 is read from a folder of yours; .*root"):
        get_dataset("ucf11")
    with pytest.raises(ConfigError, match="did you mean 'ucf50'"):
        get_dataset("ucf5")

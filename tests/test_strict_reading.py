"""Files that were changed by hand or by a fault: refused in one line, or read as they stand.

Each kind of file is written as the stages write it, then changed at random: a value becomes one of
another kind, a key goes, comes or is renamed, a list grows, the text is cut short or nested deeply.
Reading must never end in anything but an `FdhtError`; and what is accepted must, written again, be
the JSON that was read: nothing bent into shape, nothing dropped, no default put in its place.
"""

from __future__ import annotations

import copy
import functools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdht_hls.boards import BOARDS_DIRECTORY, Board
from fdht_hls.engine import design_engine, lower
from fdht_hls.estimate import estimate_of_manifest, load_estimate
from fdht_hls.estimate.sparse_timing import profile_of
from fdht_hls.frame_profile import load_profile
from fdht_hls.proof import load_proof
from fdht_hls.rtl.yosys_count import KIND, Resources
from fdht_hls.schedule import StageSchedule, check_schedule, default_schedule, load_schedule
from fdht_hls.vitis.core_steps import default_target
from fdht_hls.weights import LoadableWeights
from fdht_host.answers import read_predictions
from fdht_host.energy.load_pattern import read_load
from fdht_host.video import labels
from fdht_models.artifacts import read_json, read_manifest, seal_of
from fdht_models.documents import read_toml_file
from fdht_models.errors import MOST_CHARACTERS, FdhtError, ToolError
from fdht_models.experiment import ZOO, Experiment, load_experiment, read_experiment
from fdht_models.metrics import load_metrics
from fdht_models.records import load_record, read_record
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.training.space import space_from
from fdht_overlays.figures import ClipFacts, Figure, Figures
from fdht_overlays.manifest import load_manifest
from tests import stage_files
from tests.host.sample_answers import answer
from tests.host.sample_loads import sample_load
from tests.models.strategies import build_network
from tests.overlays.test_manifest import WHOLE

#: Changes of each kind of file in a run; all of them together take some seconds.
CHANGES = 400
LSTM = build_network()
SCHEDULE = default_schedule(LSTM.recurrence)
DIGEST = "0f" * 32
#: Tables whose keys, or whose whole contents, are free; and what may be of several kinds.
FREE = {"inputs", "tools", "files", "structure", "latency", "parts", "sources", "constant"}
FREE |= {"tried", "left_out", "preprocessing", "value"}
SEVERAL = {"cores", "leaf_rank"}
#: Keys that a stage leaves out where there is nothing to say.
OPTIONAL = {
    "metrics": (
        "single_frame",
        "single_frame_name",
        "chance",
        "single_frame_train",
        "start",
        "best_baseline",
        "baselines",
        "left_out",
        "comparison",
        "streams",
    ),
    "model manifest": ("design_id",),
    "hls manifest": ("design_id",),
}
FILES = {"network.json": DIGEST, "tb/frames.hex": DIGEST}

#: A file's name and content, and what reading and writing it again gives.
Kind = tuple[str, Callable[[], Any], Callable[[Path], Any]]


def _network(path: Path) -> Any:
    network = QuantizedNetwork.load(path)
    # What is accepted must not fail later.
    dtype = np.int8 if network.input_format.signed else np.uint8
    ReferenceModel(network).run(np.ones((2, network.inputs), dtype))
    return network.to_json()


def _schedule(path: Path) -> Any:
    schedule = load_schedule(path)
    check_schedule(LSTM.recurrence, schedule)
    return schedule.to_json()


def _profile() -> Any:
    frames = np.eye(3, LSTM.inputs, dtype=np.uint8)
    return profile_of(design_engine(LSTM), frames).to_json()


def _conversion(path: Path) -> Any:
    manifest = read_manifest(path.parent, "hls")
    estimate_of_manifest(manifest, path)
    return manifest


def _overlay(path: Path) -> Any:
    # As one that was so from the beginning; what the digest alone refuses is in test_manifest.py.
    value = read_json(path)
    if isinstance(value, dict) and isinstance(value.get("digest"), str):
        path.write_text(json.dumps({**value, "digest": seal_of(value)}))
    manifest = read_manifest(path.parent, "overlay")
    own = {"overlay": load_manifest(path.parent).to_json(), "digest": value["digest"]}
    return {**manifest, **own}


def _labels(path: Path) -> Any:
    found = labels.read_labels(path.with_name("v.mkv"))
    assert found is not None
    return {
        **read_json(path),
        "frames": found.frames,
        "classes": list(found.classes),
        "clips": [[clip.start, clip.frames, clip.label] for clip in found.clips],
    }


def _manifest(stage: str, **own: Any) -> dict[str, Any]:
    inputs = {"version": 2, "experiment": DIGEST, "steps": None}
    common = {"schema": 1, "stage": stage, "inputs": inputs, "tools": {"numpy": "1.26.4"}}
    return {**common, **own, "files": FILES}


def _whole_overlay() -> Any:
    whole = replace(
        WHOLE,
        clips=ClipFacts(7, {}),
        figures=Figures(Figure("measured", "metrics.json of hls/", {})),
    )
    value = _manifest("overlay", overlay=json.loads(json.dumps(whole.to_json())), digest=DIGEST)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    return {**value, "files": dict.fromkeys(("a-b.bit", "a-b.hwh", "golden.npz"), empty)}


def _weights() -> Any:
    loadable = LoadableWeights.of(LSTM, lower(LSTM, SCHEDULE.with_weights("loadable")))
    assert loadable is not None
    return loadable.to_json()


def _side_file() -> Any:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    clips = [[0, 3, 1], [3, 4, 0]]
    return {
        "schema": 1,
        "video_sha256": empty,
        "frames": 9,
        "classes": ["left", "right"],
        "clips": clips,
    }


def _prediction() -> Any:
    return answer("walk/1.mp4", "left", (64, 0), (0, 64), start=8).to_json()


def _predictions(path: Path) -> Any:
    (row,) = read_predictions(path)
    return row.to_json()


KINDS: dict[str, Kind] = {
    "network": ("network.json", LSTM.to_json, _network),
    "schedule": ("schedule.json", SCHEDULE.to_json, _schedule),
    "profile": ("profile.json", _profile, lambda path: load_profile(path).to_json()),
    "equality": ("equality.json", stage_files.proof, load_proof),
    "estimate": ("estimate.json", stage_files.estimate, load_estimate),
    "metrics": ("metrics.json", stage_files.metrics, load_metrics),
    "experiment": (
        "experiment.json",
        lambda: load_experiment("motion").to_json(),
        lambda path: read_experiment(path).to_json(),
    ),
    "model manifest": (
        "manifest.json",
        lambda: _manifest("model", design_id="0123456789abcdef"),
        lambda path: read_manifest(path.parent, "model"),
    ),
    "hls manifest": (
        "manifest.json",
        lambda: _manifest("hls", estimate=stage_files.summary(), design_id="0123456789abcdef"),
        _conversion,
    ),
    "overlay manifest": ("manifest.json", _whole_overlay, _overlay),
    "weights": ("weights.json", _weights, lambda path: LoadableWeights.load(path).to_json()),
    "labels": ("v.mkv.labels.json", _side_file, _labels),
    "load": (
        "pattern.json",
        lambda: json.loads(json.dumps(sample_load(0, 1.0).to_json())),
        lambda path: read_load(path).to_json(),
    ),
    "predictions": ("predictions.jsonl", _prediction, _predictions),
    "resources": (
        "report.json",
        lambda: Resources(KIND, 100, 5, 200, 3, 1.5, 3, 10).to_json(),
        lambda path: load_record(Resources, path, error=ToolError, remedy="delete it").to_json(),
    ),
    "target": (
        "target.json",
        lambda: {"part": "xc7z020clg400-1", "clock_period": 10.0},
        lambda path: vars(default_target(path.parent)),
    ),
}


@functools.lru_cache
def _whole(name: str) -> str:
    return json.dumps(KINDS[name][1]())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("files")
    for name in ("v.mkv", "a-b.bit", "a-b.hwh", "golden.npz"):
        (directory / name).write_bytes(b"")
    return directory


# What is changed ---------------------------------------------------------------------------------

#: In place of a value; the last ones are near it, and bent into shape by a careless reader.
VALUES: list[Callable[[Any], Any]] = [
    *(lambda _, value=value: value for value in (
        None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, -(10**30), 0.5, 6.5, 1e300, -0.0,
        "", "x", "1", "nan", [], {}, [[]], {"": 0}, [None], "\u0000", "../x", "é",
    )),
    lambda value: [value],
    lambda value: {"value": value},
    lambda value: str(value),
    lambda value: value + 0.5 if type(value) in (int, float) else [value, value],
    lambda value: float(value) * 1.5 if type(value) in (int, float) else value,
    lambda value: value + 1 if type(value) is int else value,
    lambda value: bool(value),
    lambda value: -value if type(value) in (int, float) else value,
    lambda value: value[::-1] if isinstance(value, list | str) else value,
]  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values; of a long list the first, the last and one between."""
    found = [path]
    if isinstance(value, dict):
        for key in value:
            found += _places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in sorted({0, len(value) // 2, len(value) - 1} & set(range(len(value)))):
            found += _places(value[index], (*path, index))
    return found


def _changed(whole: str, draw: random.Random) -> str:
    """The text of a file with one change."""
    value = json.loads(whole)
    places = _places(value)
    path = draw.choice(places)
    holder: Any = {"root": value}
    keys: tuple[Any, ...] = ("root", *path)
    for key in keys[:-1]:
        holder = holder[key]
    key, there = keys[-1], holder[keys[-1]]
    kind = draw.randrange(12)
    if kind < 6:
        holder[key] = draw.choice(VALUES)(there)
    elif kind == 6 and isinstance(there, dict) and there:
        del there[draw.choice(list(there))]
    elif kind == 7 and isinstance(there, dict):
        there[draw.choice(["extra", "name2", "", "Schema", "x.y"])] = draw.choice([None, 1, {}])
    elif kind == 8 and isinstance(there, dict) and there:
        old = draw.choice(list(there))
        there[draw.choice([old + "s", old.upper(), old[:-1]])] = there.pop(old)
    elif kind == 9 and isinstance(there, list) and there:
        there.insert(draw.randrange(len(there) + 1), copy.deepcopy(draw.choice(there)))
    elif kind == 10 and isinstance(there, list) and there:
        del there[draw.randrange(len(there))]
    else:
        return _changed_text(json.dumps(holder["root"] if path == () else value), draw)
    return json.dumps(holder["root"] if path == () else value)


def _changed_text(text: str, draw: random.Random) -> str:
    at = draw.randrange(len(text))
    digit = next((place for place in range(at, len(text)) if text[place].isdigit()), None)
    kinds: list[Callable[[], str]] = [
        lambda: text[:at],
        lambda: "\ufeff" + text,
        lambda: text[:at] + draw.choice('{}[],:"\\0 \x00e.-é') + text[at + 1 :],
        lambda: text[:at] + text[at:] * 2,
        lambda: "[" * 100_000,
        lambda: '{"a":' * 100_000 + "1" + "}" * 100_000,
        lambda: text.replace("{", '{"a": ' + "[" * 5000 + "]" * 5000 + ", ", 1),
        lambda: text.replace("}", ', "stage": 1, "stage": 1}', 1),
    ]
    if digit is not None:
        new = draw.choice(["NaN", "-Infinity", "1e999", "9" * 5000, "007", "1_0", "0x1"])
        kinds += [lambda: text[:digit] + new + text[digit + 1 :]] * 3
    return draw.choice(kinds)()


# What must hold ----------------------------------------------------------------------------------


def _same(first: Any, second: Any) -> bool:
    """Equal as JSON: 1 is 1.0, but true is not 1; a tuple is a list."""
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            _same(first[key], second[key]) for key in first
        )
    return (type(first) in (int, float) and type(second) in (int, float) and first == second) or (
        type(first) is type(second) and first == second
    )  # fmt: skip


def _kinds_kept(whole: Any, read: Any) -> bool:
    """Is every value that is in both of the same kind? Null, where it is allowed, is of each."""
    if isinstance(whole, dict) and isinstance(read, dict):
        shared = (whole.keys() & read.keys()) - FREE - SEVERAL
        return all(_kinds_kept(whole[key], read[key]) for key in shared)
    if isinstance(whole, list) and isinstance(read, list):
        return all(map(_kinds_kept, whole, read))
    if type(whole) is float:
        return type(read) in (int, float) or read is None
    return type(whole) is type(read) or whole is None or read is None


def _with_defaults(name: str, value: Any) -> Any:
    """A user's schedule may leave out keys that have a default."""
    if name != "schedule":
        return value
    defaults = StageSchedule(1, 1)
    more = {key: getattr(defaults, key) for key in ("multipliers", "weights", "vectors")}
    stages = {key: [{**more, **stage} for stage in value[key]] for key in ("input", "hidden")}
    own = {"frames": SCHEDULE.frames, "contexts": SCHEDULE.contexts}
    return {**own, **value, **stages}


@pytest.mark.parametrize("name", KINDS)
def test_whole_files_are_read(name: str, place: Path) -> None:
    file, _, read = KINDS[name]
    for mark in ("", "\ufeff"):
        (place / file).write_text(mark + _whole(name), encoding="utf-8")
        assert _same(json.loads(_whole(name)), read(place / file))


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=CHANGES)
@given(draw=st.randoms(use_true_random=False))
def test_changed_files_are_refused_or_read_as_they_stand(
    name: str, place: Path, draw: random.Random
) -> None:
    file, _, read = KINDS[name]
    text = _changed(_whole(name), draw)
    (place / file).write_text(text, encoding="utf-8")
    try:
        again = read(place / file)
    except FdhtError as error:
        line = str(error)
        assert "\n" not in line and len(line) <= MOST_CHARACTERS
        return
    read_value = json.loads(text.removeprefix("\ufeff"))
    assert _same(_with_defaults(name, read_value), again)
    assert _kinds_kept(json.loads(_whole(name)), read_value)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "schedule"])
def test_no_key_may_be_missing(name: str, place: Path) -> None:
    file, _, read = KINDS[name]
    refused = 0
    for path in _places(json.loads(_whole(name))):
        if not path or not isinstance(path[-1], str) or {*path[:-1]} & FREE:
            continue
        value = json.loads(_whole(name))
        holder = functools.reduce(lambda table, key: table[key], path[:-1], value)
        del holder[path[-1]]
        (place / file).write_text(json.dumps(value))
        if path[-1] in OPTIONAL.get(name, ()):
            assert _same(value, read(place / file))
            continue
        with pytest.raises(FdhtError):
            read(place / file)
        refused += 1
    assert refused >= 2


# Tables that users write -------------------------------------------------------------------------

SPACE = {
    "search": {
        "leaf_rank": [2, 8],
        "format": ["tt", "ht"],
        "quantization": {"cores": [4, 10]},
        "training": {"rate": {"low": 1e-3, "high": 1e-1, "log": True}},
        "input_modes": {"choices": [[5, 5, 6], [15, 10]]},
    },
    "goals": {"objectives": ["accuracy", "macs"], "macs_at_most": 2_000_000},
    "budget": {"float_epochs": 5, "train_clips": 280},
}
TABLES: dict[str, tuple[Any, Callable[[Any], object]]] = {
    "experiment": (
        {"name": "motion", **read_toml_file(ZOO / "motion.toml")},
        Experiment.from_json,
    ),
    "board": (
        read_toml_file(BOARDS_DIRECTORY / "pynq-z2.toml"),
        lambda table: read_record(Board, table),
    ),
    "space": (SPACE, lambda table: space_from(table).to_json()),
}


@pytest.mark.parametrize("name", TABLES)
@settings(max_examples=CHANGES)
@given(draw=st.randoms(use_true_random=False))
def test_changed_tables_are_refused_in_one_line(name: str, draw: random.Random) -> None:
    table, read = TABLES[name]
    try:
        changed = json.loads(_changed(json.dumps(table), draw))
    except (ValueError, RecursionError):
        return  # text of TOML is its reader's matter
    try:
        read(changed)
    except FdhtError as error:
        assert "\n" not in str(error) and len(str(error)) <= MOST_CHARACTERS

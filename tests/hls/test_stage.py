"""The stage `convert` on a small trained experiment, and its parts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdht.cli.convert import conversion_lines
from fdht.pipeline import too_large_line
from fdht_hls import conversion as stage
from fdht_hls.boards import DEFAULT_BOARD, get_board
from fdht_hls.conversion import (
    Conversion,
    convert_project,
    convert_stage,
    equality_report,
    write_golden,
)
from fdht_hls.conversion_model import conversion_model
from fdht_hls.csimulation import CSimulation
from fdht_hls.engine import lower
from fdht_hls.equality import corner_frames, reference_logits
from fdht_hls.estimate import estimate, estimate_of_manifest, load_estimate
from fdht_hls.frame_profile import load_profile
from fdht_hls.observation import values_inside
from fdht_hls.proof import Comparison
from fdht_hls.proof_streams import PROOF_STREAMS, proof_streams
from fdht_hls.schedule import Schedule, StageSchedule, default_schedule
from fdht_hls.tuner import training_frames
from fdht_hls.tuner.board_plan import plan, planned, tuned
from fdht_hls.tuner.budget import board_budget, parse_shares
from fdht_hls.unfinished import unfinished
from fdht_models.artifacts import read_json, read_manifest
from fdht_models.directories import BuildDirectory, ConversionDirectory, ModelDirectory
from fdht_models.errors import (
    ArtifactError,
    ConfigError,
    ConversionError,
    EqualityError,
    ToolError,
)
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_models.training import evaluate, train_stage
from tests.hls.conftest import simulate
from tests.hls.networks import CLASSIFIERS
from tests.models.format_cases import SHAPES
from tests.models.strategies import build_network
from tests.models.training_samples import chance_alone, small_experiment

# tf_keras says this of QKeras' constraints whenever a QDense is described.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:The `keras\.constraints\.serialize\(\)` API:UserWarning"
)

Events = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """build/small/model, hardly trained."""
    directory = tmp_path_factory.mktemp("build") / "small"
    experiment = small_experiment(
        training={"float_epochs": 1, "quantized_epochs": 1},
        data={"train_clips": 40, "test_clips": 7},
    )
    with pytest.MonkeyPatch.context() as patch:
        # Fitting the classifiers without a memory would be most of the time.
        patch.setattr(evaluate, "baseline_table", chance_alone)
        train_stage(experiment, directory, cache=directory.parent / "data", quiet=True)
    yield directory / "model"


@pytest.fixture(scope="module")
def conversion(trained: Path) -> tuple[Conversion, Events]:
    """What `convert_stage` says, and what it told on the way."""
    events: Events = []
    build = BuildDirectory(trained.parent)
    found = convert_stage(build.model, build.hls, None, lambda *event: events.append(event))
    return found, events


@pytest.fixture
def hls(conversion: tuple[Conversion, Events]) -> Path:
    return conversion[0].directory.path


def state_of(directory: Path) -> dict[str, tuple[int, int]]:
    """Time and size of every file, and of what lies beside the directory."""
    files = [path for path in directory.parent.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in files}


def convert(model: Path, hls: Path, *options: Any, **named: Any) -> Conversion:
    return convert_stage(ModelDirectory(model), ConversionDirectory(hls), *options, **named)


class CompiledError(Exception):
    """Raised in place of compiling."""


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise CompiledError

    monkeypatch.setattr(stage, "compiling", refuse)


# End to end -------------------------------------------------------------------------------------


def test_ten_thousand_integers_are_proved_equal(conversion):
    found, _ = conversion
    assert found.fresh
    equality = found.equality
    assert equality["frames_per_stream"] >= 50
    for name in ("keras_reference", "reference_csim", "reference_csim_exact"):
        assert equality[name]["mismatches"] == 0 and equality[name]["first"] is None
        counted = equality[name]["quantities"]
        assert counted["logits"] == equality["streams"] * equality["frames_per_stream"] * 7
        assert equality[name]["compared"] == sum(counted.values()) >= 10_000


def test_few_classes_take_no_more_frames(conversion):
    """What goes on inside a frame is compared; only tiny networks need more streams than four."""
    found, _ = conversion
    assert found.equality["streams"] == PROOF_STREAMS + 1


def test_the_directory_holds_what_later_stages_read(conversion, trained):
    found, _ = conversion
    manifest = read_manifest(found.directory.path, "hls")
    network = QuantizedNetwork.load(found.directory.path / "network.json")
    assert network.design_id == QuantizedNetwork.load(trained / "network.json").design_id
    assert manifest["design_id"] == f"{network.design_id:016x}"
    assert {"network.json", "csim.so", "equality.json", "estimate.json"} <= set(manifest["files"])
    assert (found.directory.path / "project" / "build_core.tcl").exists()
    paced = read_json(found.directory.path / "estimate.json")
    planned = plan(network, board_budget(get_board(DEFAULT_BOARD)))
    assert paced == found.estimate == json.loads(json.dumps(planned.estimate.to_json()))
    schedule = Schedule.from_json(read_json(found.directory.path / "schedule.json"))
    assert schedule == planned.schedule
    assert manifest["plan"] == found.plan
    assert found.plan["chosen_by"] == "planner" and found.plan["budget"]["board"] == "pynq-z2"
    assert found.plan["fits"] and found.plan["would_fit"] is None
    assert found.plan["frames_per_second"] == planned.frames_per_second
    assert manifest["estimate"] == {key: paced[key] for key in paced if key != "stages"}
    assert read_json(found.directory.path / "equality.json") == found.equality
    assert found.to_json()["directory"] == str(found.directory.path)


def test_the_library_is_the_network(hls):
    network = QuantizedNetwork.load(hls / "network.json")
    frames = corner_frames(network, 40)
    core = CSimulation(hls / "csim.so")
    logits = simulate(core, network, frames, True)
    core.close()
    np.testing.assert_array_equal(logits, ReferenceModel(network).run(frames))


@pytest.mark.slow
def test_a_core_that_reads_sparse_frames_is_proved(trained, tmp_path):
    network = QuantizedNetwork.load(trained / "network.json")
    schedule = replace(default_schedule(network.recurrence), frames="sparse")
    found = convert(trained, tmp_path / "hls", schedule=schedule)
    pairs = ("keras_reference", "reference_csim", "reference_csim_exact")
    assert [found.equality[name]["mismatches"] for name in pairs] == [0, 0, 0]
    assert Schedule.from_json(read_json(tmp_path / "hls" / "schedule.json")).sparse
    core = CSimulation(tmp_path / "hls" / "csim.so")
    assert core.sparse
    core.close()


def test_progress_is_told(conversion):
    _, events = conversion
    labels = {"plan", "lint", "compile", "Keras", "C simulation (csim)"}
    labels |= {"C simulation (csim_exact)"}
    beside = [label for label, _, _ in events[: events.index(("compile", 1, 1))]]
    assert {"lint", "Keras"} <= set(beside), "they run while g++ does"
    own = [label for label in beside if label != "plan"]
    assert own[0] == "compile" and not any(label.startswith("C sim") for label in own)
    assert {label for label, _, _ in events} == labels
    for label in labels:
        mine = [(done, total) for name, done, total in events if name == label]
        assert max(mine) == (mine[0][1], mine[0][1]), "all is done in the end"
        assert all(0 <= done <= total for done, total in mine)


def test_a_second_call_does_nothing(conversion, trained, no_compiler):
    found, _ = conversion
    before = state_of(found.directory.path)
    again = convert_stage(ModelDirectory(trained), found.directory)
    assert not again.fresh
    assert (again.equality, again.estimate) == (found.equality, found.estimate)
    assert state_of(found.directory.path) == before


def test_an_interrupted_conversion_goes_on_where_it_was(trained, tmp_path, monkeypatch):
    """Ctrl-C in the second comparison: nothing is compiled or compared again that is done."""
    first: Events = []

    def interrupt(*event: Any) -> None:
        first.append(event)
        if event[0].startswith("C simulation") and event[1]:
            raise KeyboardInterrupt

    directory = tmp_path / "hls"
    with pytest.raises(KeyboardInterrupt):
        convert(trained, directory, None, interrupt)
    assert {event[0] for event in first} >= {"lint", "compile", "Keras"}
    assert [path.name for path in tmp_path.iterdir()] == [".hls-unfinished"]
    second: Events = []
    with monkeypatch.context() as patch:
        patch.setattr(stage, "compiling", None)
        found = convert_stage(
            ModelDirectory(trained),
            ConversionDirectory(directory),
            None,
            lambda *event: second.append(event),
        )
    assert {event[0] for event in second} == {
        "plan",
        "C simulation (csim_exact)",
        "C simulation (csim)",
    }
    assert [found.equality[name]["mismatches"] for name in list(found.equality)[2:]] == [0, 0, 0]
    assert found.equality["keras_reference"]["quantities"]["logits"] > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["hls"]
    assert (directory / "project" / "build_core.tcl").exists()


def test_what_is_kept_of_another_conversion_is_not_taken(tmp_path):
    kept = unfinished(tmp_path / "hls", {"model": "a"})
    kept.core(lambda directory: (directory / "csim.so").write_bytes(b"a"))
    kept.keep({"keras_reference": Comparison(9, 0, None, {"logits": 9})})
    assert kept.comparisons()["keras_reference"].compared == 9
    other = unfinished(tmp_path / "hls", {"model": "b"})
    assert other.comparisons() == {}
    core = other.core(lambda directory: (directory / "csim.so").write_bytes(b"b"))
    assert (core / "csim.so").read_bytes() == b"b"
    (kept.directory / "comparisons.json").write_text('{"inputs": 3, "done": 4}')
    assert kept.comparisons() == {}
    kept.remove()
    assert list(tmp_path.iterdir()) == []


def test_other_settings_convert_anew(hls, trained, no_compiler):
    before = state_of(hls)
    with pytest.raises(CompiledError):
        convert(trained, hls, {"clock_period": 7})
    assert state_of(hls) == before, "the former directory is as it was"


def test_other_frames_convert_anew(hls, trained, no_compiler):
    assert not convert(trained, hls, frames="dense").fresh
    with pytest.raises(CompiledError):
        convert(trained, hls, frames="sparse")


def test_a_core_of_sparse_frames_is_planned_for_its_clips_and_proved_equal(
    conversion, trained, tmp_path, monkeypatch
):
    """Of 40 training clips all; the tuner takes the same design, and what was counted is kept."""
    found = convert(trained, tmp_path / "hls", frames="sparse")
    network = QuantizedNetwork.load(trained / "network.json")
    budget, build = board_budget(get_board("pynq-z2")), BuildDirectory(trained.parent)
    monkeypatch.setattr(training_frames, "clips_of", None)  # nobody looks at clips again
    known = training_frames.frames_at_hand(network, budget, "hls", "sparse", build)
    profile = load_profile(found.directory.path / "profile.json")
    assert profile == known.profile and profile.clips == 40
    chosen = tuned(network, budget, "hls", frames="sparse", profile=profile).chosen.schedule
    assert Schedule.from_json(read_json(found.directory.path / "schedule.json")) == chosen
    assert not convert(trained, tmp_path / "hls", frames="sparse").fresh
    full = planned(network, chosen, budget).estimate
    estimate = load_estimate(found.directory.path / "estimate.json")
    assert estimate["cycles_per_frame"] == found.plan["cycles_per_frame"] == full.cycles_per_frame
    frame = estimate["clips"]["clocks"]["frame"]
    assert frame["full"] == full.cycles_per_frame >= frame["spread"]["worst"]
    text = "\n".join(conversion_lines(found))
    assert f"{full.cycles_per_frame} cycles a full frame" in text and known.line in text
    assert "for frames like those of 40 training clips" in text and "95th percentile" in text
    assert estimate_of_manifest(read_manifest(found.directory.path, "hls"), tmp_path).clips
    for name in ("reference_csim", "reference_csim_exact"):
        assert found.equality[name]["mismatches"] == 0
        assert found.equality[name]["compared"] == conversion[0].equality[name]["compared"]


@pytest.mark.parametrize("board", ["pynq-z2", "zcu104"])
def test_another_budget_converts_anew(hls, trained, no_compiler, board):
    with pytest.raises(CompiledError):
        convert(trained, hls, budget=board_budget(get_board(board), "0.5"))


def test_what_fits_no_board_is_planned_as_small_as_it_can_be_and_told(hls):
    network = QuantizedNetwork.load(hls / "network.json")
    little = replace(
        board_budget(get_board("pynq-z2")), lut=500, shares=parse_shares("1"), name="little"
    )
    found, told = stage._plan(network, None, little)
    assert not found.fits and found.schedule == plan(network, little).schedule
    assert told["fits"] is False and told["chosen_by"] == "planner"
    assert "--board pynq-z1 or pynq-z2" in told["would_fit"]
    line = too_large_line("small", told)
    assert line.startswith("warning: small does not fit little: the smallest design is estimated")
    assert f"{found.estimate.resources.lut:,} of 500 LUT" in line and "\n" not in line


def test_a_users_schedule_is_taken_and_measured_by_the_board(hls):
    network, budget = (
        QuantizedNetwork.load(hls / "network.json"), board_budget(get_board("pynq-z2"))
    )  # fmt: skip
    found, told = stage._plan(network, serial(network), budget)
    assert found.schedule == serial(network) and told["chosen_by"] == "user"
    assert told["cycles_per_frame"] == estimate(lower(network, serial(network))).cycles_per_frame


def serial(network: QuantizedNetwork) -> Schedule:
    """One multiplier a stage."""
    paths = (network.recurrence.input_path, network.recurrence.hidden_path)
    return Schedule(*((StageSchedule(1, 1),) * len(path.plan.stages) for path in paths))


def test_another_schedule_converts_anew(hls, trained, no_compiler):
    before = state_of(hls)
    with pytest.raises(CompiledError):
        convert_stage(
            ModelDirectory(trained),
            ConversionDirectory(hls),
            schedule=serial(QuantizedNetwork.load(hls / "network.json")),
        )
    assert state_of(hls) == before, "the former directory is as it was"


def test_a_schedule_of_another_network_is_refused_before_any_work(trained, tmp_path, no_compiler):
    other = serial(build_network(SHAPES["dense-gru"]))
    with pytest.raises(ConfigError, match=r"schedule\.input: has 1 stages; the network has 3"):
        convert_stage(
            ModelDirectory(trained), ConversionDirectory(tmp_path / "hls"), schedule=other
        )
    assert not (tmp_path / "hls").exists()


def test_a_project_works_as_its_schedule_says(tmp_path):
    classifier = CLASSIFIERS["bytes"]
    chosen = serial(classifier.network)
    plan_of_core = lower(classifier.network, chosen)
    convert_project(classifier.keras(), classifier.network, tmp_path, {}, plan_of_core)
    text = (tmp_path / "firmware" / "parameters.h").read_text()
    for name in ("vector_parallel", "output_parallel"):
        assert re.findall(rf"static const unsigned {name} = (\d+);", text) == ["1"] * 6
    (header, *_) = sorted((tmp_path / "firmware" / "weights").glob("core*.h"))
    assert re.search(r"\w+\[\d+\]\[1\] = \{", header.read_text()), "a weight a beat"


def test_other_templates_convert_anew(hls, trained, no_compiler, monkeypatch):
    monkeypatch.setattr(stage, "source_digest", lambda: "another")
    with pytest.raises(CompiledError):
        convert(trained, hls)


@pytest.mark.slow
def test_a_mismatch_leaves_no_new_directory(hls, trained, monkeypatch):
    """The whole conversion, but with a core in whose C++ a row of a table is off by one."""
    before = state_of(hls)
    written = stage.convert_project

    def damage(model: Any, network: Any, directory: Path, *others: Any) -> None:
        written(model, network, directory, *others)
        (header,) = (directory / "firmware" / "weights").glob("candidate*.h")
        start, row, end = re.split(r"(?<== \{\n)(.*)(?=,\n)", header.read_text(), maxsplit=1)
        codes = [int(code) + 1 for code in row.split(",")]
        header.write_text(f"{start}{', '.join(map(str, codes))}{end}")

    monkeypatch.setattr(stage, "convert_project", damage)
    with pytest.raises(EqualityError, match=r"reference_csim\w*: \d+ of \d+ integers differ"):
        convert(trained, hls, {"clock_period": 9})
    assert state_of(hls) == before


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(ArtifactError, match="model"):
        convert(tmp_path / "model", tmp_path / "hls")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_compiler_is_named_first(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"g\+\+: is not installed"):
        convert(trained, tmp_path / "hls")
    assert list(tmp_path.iterdir()) == []


# Parts ------------------------------------------------------------------------------------------


def test_streams_of_a_proof_are_long_and_include_the_corners(trained):
    network = QuantizedNetwork.load(trained / "network.json")
    streams = proof_streams(ModelDirectory(trained).open(), network)
    count, frames, inputs = streams.shape
    assert streams.dtype == np.uint8 and inputs == 150 and frames >= 50
    assert count * frames * (sum(values_inside(network).values()) + 7) >= 10_000
    np.testing.assert_array_equal(streams[-1], corner_frames(network, frames))
    assert len(np.unique(streams[:-1].reshape(count - 1, -1), axis=0)) == count - 1


def test_a_converted_model_is_one_frame_a_call_and_the_same_function():
    """The Keras model that hls4ml sees, fed frame by frame."""
    classifier = CLASSIFIERS["words"]
    network = classifier.network
    model = conversion_model(classifier.keras(sequences=True), lower(network))
    assert model.input_shape == (1, 1, 24, 8) and model.layers[1].stateful
    frames = corner_frames(network, 12)
    values = (frames * network.input_format.scale).astype(np.float32).reshape(12, 1, 1, 24, 8)
    logits = np.stack([model.predict_on_batch(value)[0] for value in values])
    codes = network.logit_format.exact(logits)
    np.testing.assert_array_equal(codes, reference_logits(network, frames[None])[0])


def test_a_conversion_is_silent(tmp_path, capfd):
    classifier = CLASSIFIERS["bytes"]
    convert_project(classifier.keras(), classifier.network, tmp_path / "project", {})
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "hls4ml" not in captured.err and "Warning" not in captured.err
    assert (tmp_path / "project" / "tb_data" / "results.hex").exists()


def test_hls4ml_s_own_message_is_kept(tmp_path):
    (tmp_path / "file").write_text("in the way")
    classifier = CLASSIFIERS["bytes"]
    with pytest.raises(ConversionError, match=r"bytes: hls4ml failed: NotADirectoryError: .*file"):
        convert_project(classifier.keras(), classifier.network, tmp_path / "file" / "project", {})


@pytest.mark.parametrize("classes", [1, 2, 3, 4])
def test_golden_vectors_of_any_number_of_classes(tmp_path, classes):
    network = build_network(classes=classes)
    write_golden(network, tmp_path / "tb_data")
    lines = {
        name: (tmp_path / "tb_data" / f"{name}.hex").read_text() for name in ("frames", "results")
    }
    assert lines["frames"].count("\n") == 10 * 8
    words = np.array([int(line, 16) for line in lines["results"].split()], "<u8")
    results = words.view("<i4").reshape(10, -1)
    assert results.shape[1] == 2 * ((classes + 1) // 2)
    wanted = reference_logits(network, corner_frames(network, 10)[None])[0]
    np.testing.assert_array_equal(results[:, :classes], wanted)
    assert not results[:, classes:].any()


def test_a_report_counts_streams_and_mismatches():
    streams = np.zeros((3, 60, 5), np.uint8)
    results = {
        "keras_reference": Comparison(540, 0, None, {"logits": 540}),
        "reference_csim": Comparison(540, 1, "here", {"logits": 500, "cell": 40}),
    }
    assert equality_report(results, streams) == {
        "streams": 3,
        "frames_per_stream": 60,
        "keras_reference": {
            "compared": 540,
            "mismatches": 0,
            "first": None,
            "quantities": {"logits": 540},
        },
        "reference_csim": {
            "compared": 540,
            "mismatches": 1,
            "first": "here",
            "quantities": {"logits": 500, "cell": 40},
        },
    }

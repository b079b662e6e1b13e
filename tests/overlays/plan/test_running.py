"""Plans that run: resumption, failures, the same records by hand, and overlays from them."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.running import Phases, run_plan
from fdht_models.directories import BuildDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, EqualityError, ToolError
from fdht_overlays.plan.collect import collect
from tests.hls.vitis.standin import LOGS
from tests.overlays.plan.test_plan import small
from tests.overlays.plan.tools import STEPS, by_hand, plan_of
from tests.overlays.vivado.running import needs_tcl
from tests.overlays.vivado.test_reports import LICENCE, PLACE

pytestmark = needs_tcl


def test_a_plan_runs_once_and_then_only_what_changed(tmp_path, tools, experiment, plan):
    work = tmp_path / "work"
    assert run_plan(plan, work) == STEPS
    assert run_plan(plan, work) == []
    # A lost result: that step alone.
    (work / "results" / "fdht.bit").unlink()
    assert run_plan(plan, work) == ["bitstream"]
    # Another clock changes what Vitis and the block design read.
    assert run_plan(plan_of(experiment, cosim=False, clock_mhz=50.0), work) == STEPS
    # What only Vivado reads leaves the core alone.
    allowed = plan_of(experiment, cosim=False, clock_mhz=50.0, allow_timing_failure=True)
    assert run_plan(allowed, work) == ["implementation", "bitstream"]


def test_a_step_that_failed_is_done_again_and_those_before_it_are_not(tmp_path, tools, plan):
    tools.set(status={"impl_1": "place_design ERROR"}, log={"impl_1": PLACE})
    with pytest.raises(ToolError, match="Vivado implementation: needs more than the device has"):
        run_plan(plan, tmp_path / "work")
    tools.set(status={}, log={})
    assert run_plan(plan, tmp_path / "work") == ["implementation", "bitstream"]


def test_by_hand_it_goes_on_where_we_stopped_and_we_where_it_stopped(tmp_path, tools, plan):
    work = tmp_path / "work"
    tools.set(status={"synth_1": "synth_design ERROR"}, log={"synth_1": "ERROR: [Synth 8-1] x"})
    with pytest.raises(ToolError):
        run_plan(plan, work)
    done = by_hand(work)
    assert done.returncode == 1
    assert "FDHT: export is done already" in done.stdout
    assert done.stdout.endswith("ERROR: [FDHT] synthesis: ERROR: [Synth 8-1] x\n")
    tools.set(status={}, log={})
    done = by_hand(work)
    assert (done.returncode, done.stderr) == (0, "")
    assert "FDHT: design is done already" in done.stdout
    assert "FDHT: all steps are done; the results are in results.tar.gz" in done.stdout
    assert run_plan(plan, work) == []


# --- what can go wrong -------------------------------------------------------------------------


def test_a_missing_tool_is_named_before_anything_runs(tmp_path, tools, plan):
    (tools.programs / "vivado").unlink()
    with pytest.raises(
        ToolError, match=r"vivado: is missing on this machine; step design needs vivado: .*--arc"
    ):
        run_plan(plan, tmp_path / "work")
    (tools.programs / "vitis_hls").unlink()
    with pytest.raises(ToolError, match="vitis-run or vitis_hls, vivado: are missing on this"):
        run_plan(plan, tmp_path / "work")
    assert not (tmp_path / "work" / "logs").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2019.2"}, "Vivado design: is too old: Vivado 2019.2 is too old; 2022.2"),
        ({"errors": {"launch_runs": LICENCE}}, "Vivado synthesis: has no licence: ERROR: .Common"),
        ({"stats": {"WNS": "-0.2", "WHS": "0", "TPWS": "0"}},
         "Vivado implementation: does not meet its timing: timing not met: WNS is -0.2 ns"),
        ({"errors": {"open_run": "write: No space left on device"}}, "found no room on the disk"),
        ({"errors": {"validate_bd_design": "ERROR: [BD 41-1] x"}}, "Vivado design: failed: ERROR"),
    ],
)  # fmt: skip
def test_each_failure_is_one_line_and_nothing_is_an_overlay(
    tmp_path, tools, experiment, plan, changes, message
):
    tools.set(**changes)
    with pytest.raises(ToolError, match=message) as caught:
        run_plan(plan, tmp_path / "work")
    assert "\n" not in str(caught.value)
    with pytest.raises(ArtifactError):
        build, overlay = BuildDirectory(experiment), OverlayDirectory(tmp_path / "overlay")
        collect(plan, tmp_path / "work", build.hls, build.cosim, overlay, get_board("pynq-z2"))
    assert not (tmp_path / "overlay").exists()


def test_a_step_that_takes_too_long_is_ended(tmp_path, tools, plan):
    tools.set(sleep={"create_project": 60})
    started = time.monotonic()
    with pytest.raises(ToolError, match="step design: did not finish within 6 s; raise --timeout"):
        run_plan(plan, tmp_path / "work", timeout=6)
    assert time.monotonic() - started < 55


def test_a_killed_run_says_so(tmp_path):
    killed = small({"steps/one.sh": b"kill -9 $$\n"})
    with pytest.raises(
        ToolError, match=r"Vivado one: was killed \(SIGKILL\); often for lack of mem"
    ):
        run_plan(killed, tmp_path)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (b"cp a.txt out.txt\n", "ended without saying 'done'"),
        (b"echo done\n", r"step one: out\.txt: was not written, or is empty; see logs/one"),
        (b"echo done; exit 3\n", "ended with exit code 3 and no error line"),
        (b"cp a.txt out.txt; echo done; echo 'ERROR: [X 1] y'\n", r"failed: ERROR: \[X 1\] y"),
    ],
)
def test_exit_code_0_is_not_enough_here_nor_by_hand(tmp_path, script, message):
    plan = small({"steps/one.sh": script})
    with pytest.raises((ToolError, ArtifactError), match=message):
        run_plan(plan, tmp_path / "here")
    plan.write(tmp_path / "there")
    done = by_hand(tmp_path / "there")
    assert done.returncode == 1 and "ERROR: [FDHT] one:" in done.stdout
    for place in ("here", "there"):
        assert not (tmp_path / place / "records" / "one").exists()
    assert not (tmp_path / "there" / "results.tar.gz").exists()


def test_by_hand_a_damaged_plan_is_refused(tmp_path):
    small().write(tmp_path)
    (tmp_path / "a.txt").write_text("b")
    done = by_hand(tmp_path)
    assert done.returncode == 1 and "a file of the plan is missing or damaged" in done.stdout


def test_by_hand_a_step_that_takes_too_long_is_ended(tmp_path):
    small({"steps/one.sh": b"sleep 60\n"}, timeout=1.0).write(tmp_path)
    done = by_hand(tmp_path)
    assert done.returncode == 1 and "did not finish within 1 s" in done.stdout


def test_by_hand_and_here_the_records_are_the_same(tmp_path):
    run_plan(small(), tmp_path / "here")
    small().write(tmp_path / "there")
    assert by_hand(tmp_path / "there").returncode == 0
    texts = [(tmp_path / place / "records" / "one").read_text() for place in ("here", "there")]
    assert texts[0] == texts[1] and texts[0].startswith("inputs ")


def test_differing_results_of_the_core_stop_the_build(tmp_path, tools, plan):
    tools.core("csim", "log", LOGS["csim"].replace("0 words differ", "2 words differ"))
    with pytest.raises(EqualityError, match="2 of 20 words of results differ from the reference"):
        run_plan(plan, tmp_path / "work")


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: a full disk; only root may mount one")
def test_a_full_disk_is_said(tmp_path, plan, tools):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk; nothing can be mounted here")
    try:
        with pytest.raises(ArtifactError, match=r"cannot be written .No space left on device."):
            run_plan(plan, disk / "work")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- progress ----------------------------------------------------------------------------------


def test_phases_of_a_log_are_followed_and_never_go_back(plan):
    seen = []
    phases = Phases(plan.step("implementation"), lambda *told: seen.append(told))
    for line in (
        "Command: place_design",
        "Starting Logic Optimization Task",
        "Starting Placer Task",
        "Phase 1 Placer Initialization",
        "Starting Logic Optimization Task",
        "Starting Routing Task",
    ):
        phases.line(line)
    phases.end()
    assert [done for _, done, _, _ in seen] == [0, 1, 2, 2, 2, 3, 5]
    assert {(step, total) for step, _, total, _ in seen} == {("implementation", 5)}
    assert [text for _, _, _, text in seen[-3:]] == [
        "placing: Starting Logic Optimization Task", "routing: Starting Routing Task", ""
    ]  # fmt: skip


# --- licences ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [True, False])
def test_a_licence_that_vitis_hls_lacks_has_its_remedy(tmp_path, tools, plan, ended):
    # The tool may go on to the end of the script after its error, with exit code 0.
    text = f"ERROR: [HLS 200-1715] Encountered problem during source synthesis\n{LICENCE}\n"
    tools.core("csynth", "log", text + (LOGS["csynth"] if ended else ""))
    said = (
        r"Vitis HLS csynth: has no licence: .* A valid license was not found.*License Manager; the"
    )
    with pytest.raises(ToolError, match=said):
        run_plan(plan, tmp_path / "work")

"""Plans that run: resumption, failures, the same records by hand, and overlays from them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from fdht_hls.registers import VLNV
from fdht_hls.weights import WEIGHTS_FILE
from fdht_models.artifacts import write_json
from fdht_models.errors import ArtifactError, EqualityError, ToolError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.boards import get_board
from fdht_overlays.golden import load_golden
from fdht_overlays.manifest import load_manifest
from fdht_overlays.plan.archive import import_results
from fdht_overlays.plan.collect import collect
from fdht_overlays.plan.running import Phases, run_plan
from fdht_overlays.plan.summary import summary_json
from tests.hls.vitis.standin import LOGS
from tests.overlays.plan.test_plan import small
from tests.overlays.plan.tools import bitstream, make_tools, plan_of, write_conversion
from tests.overlays.vivado.packager import component_xml
from tests.overlays.vivado.running import MASTERS, needs_tcl, rtl_core
from tests.overlays.vivado.test_reports import LICENCE, PLACE

pytestmark = needs_tcl
STEPS = ["csim", "csynth", "export", "design", "synthesis", "implementation", "bitstream"]


@pytest.fixture
def tools(tmp_path, monkeypatch):
    return make_tools(tmp_path / "tools", monkeypatch)


@pytest.fixture
def experiment(tmp_path):
    return write_conversion(tmp_path / "tiny")


@pytest.fixture
def plan(experiment):
    return plan_of(experiment, cosim=False)


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


def by_hand(directory, timeout=60):
    return subprocess.run(
        ["sh", "build.sh"], cwd=directory, capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


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


def test_results_are_brought_back(tmp_path, built, experiment, plan):
    archive = built / "work" / "results.tar.gz"
    import_results(plan, archive, tmp_path / "here")
    overlay = tmp_path / "overlay"
    board = get_board("pynq-z2")
    assert collect(plan, tmp_path / "here", experiment, overlay, board)
    assert load_manifest(overlay).build.plan == plan.digest


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A plan that ran by hand, once for all tests that only look at it or damage a copy of it."""
    directory = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        make_tools(directory / "tools", patch)
        plan = plan_of(write_conversion(directory / "tiny"), cosim=False)
        plan.write(directory / "work")
        assert by_hand(directory / "work").returncode == 0
    return directory


@pytest.fixture
def results(tmp_path, built, plan):
    """An unpacked archive of results, and a function that packs it again and imports it."""
    there = built / "work"
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", there / "results.tar.gz", "-C", unpacked], check=True)

    def imports(listed=True):
        if listed:
            found = sorted(
                str(path.relative_to(unpacked)) for path in unpacked.rglob("*")
                if path.is_file() and path.name != "results.sha256"
            )  # fmt: skip
            text = subprocess.run(
                ["sha256sum", *found], cwd=unpacked, capture_output=True, text=True, check=True
            ).stdout
            (unpacked / "results.sha256").write_text(text)
        archive = tmp_path / "packed.tar.gz"
        names = sorted(path.name for path in unpacked.iterdir())
        # As build.sh packs them: files, no directories.
        files = subprocess.run(
            ["find", *names, "-type", "f"], cwd=unpacked, capture_output=True, text=True, check=True
        ).stdout.split()
        subprocess.run(["tar", "czf", archive, *files], cwd=unpacked, check=True)
        import_results(plan, archive, tmp_path / "imported")

    return unpacked, imports


def test_untouched_results_are_taken(tmp_path, results):
    results[1]()
    assert (tmp_path / "imported" / "results" / "fdht.bit").is_file()


@pytest.mark.parametrize(
    ("change", "listed", "message"),
    [
        (lambda d: (d / "plan.json").write_text("{}"), True, "is stale: it was built from another"),
        (lambda d: (d / "plan.json").unlink(), True, "holds no plan.json"),
        (
            lambda d: (d / "results" / "fdht.bit").write_text("x"),
            False,
            "fdht.bit differs from its",
        ),
        (lambda d: (d / "results" / "fdht.bit").write_text("x"), True, "step bitstream is missing"),
        (lambda d: (d / "results" / "fdht.bit").unlink(), False, "lacks results/fdht.bit"),
        (lambda d: (d / "results" / "fdht.bit").unlink(), True, "step bitstream is missing"),
        (lambda d: (d / "more").write_text("x"), False, "more differs from its digest"),
        (lambda d: (d / "results.sha256").write_text("x"), False, "has no list of digests"),
        (lambda d: (d / "records" / "export").unlink(), True, "step export is missing"),
        (lambda d: (d / "records" / "design").write_text("inputs 0\n"), True, "step design is"),
        (lambda d: (d / "logs" / "csim.log").unlink(), True, "step csim is missing"),
    ],
)
def test_stale_or_damaged_results_are_refused(tmp_path, results, change, listed, message):
    unpacked, imports = results
    change(unpacked)
    with pytest.raises(ArtifactError, match=message):
        imports(listed)
    assert not (tmp_path / "imported" / "results").exists()


def test_a_log_that_tells_of_a_failure_is_refused(results):
    unpacked, imports = results
    path = unpacked / "logs" / "csim.log"
    path.write_text(path.read_text().replace("0 words differ", "3 words differ"))
    with pytest.raises(EqualityError, match="3 of 20 words of results differ"):
        imports()


def test_a_path_out_of_the_directory_is_refused(tmp_path, plan):
    outside = tmp_path / "outside"
    outside.write_text("x")
    archive = tmp_path / "bad.tar.gz"
    subprocess.run(["tar", "czPf", archive, str(outside)], check=True)
    with pytest.raises(ArtifactError, match="which no build writes"):
        import_results(plan, archive, tmp_path / "imported")
    archive.write_bytes(archive.read_bytes()[:40])
    with pytest.raises(ArtifactError, match="is damaged"):
        import_results(plan, archive, tmp_path / "imported")
    with pytest.raises(ArtifactError, match="cannot be unpacked"):
        import_results(plan, tmp_path / "none.tar.gz", tmp_path / "imported")


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
        collect(plan, tmp_path / "work", experiment, tmp_path / "overlay",
                get_board("pynq-z2"))  # fmt: skip
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
def test_a_full_disk_is_said(tmp_path, plan):
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
    phases = Phases(plan.step("implementation"), seen.append)
    for line in (
        "Command: place_design",
        "Starting Logic Optimization Task",
        "Starting Placer Task",
        "Phase 1 Placer Initialization",
        "Starting Logic Optimization Task",
        "Starting Routing Task",
    ):
        phases.line(line)
    assert [(one.label, one.done) for one in seen] == [
        ("", 0), ("optimising", 1), ("placing", 2), ("placing", 2), ("placing", 2), ("routing", 3)
    ]  # fmt: skip
    assert seen[0].total == 4 and seen[-1].line == "Starting Routing Task"


# --- overlays ----------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path, built, plan):
    shutil.copytree(built / "work", tmp_path / "work")
    assert run_plan(plan, tmp_path / "work") == []
    return tmp_path / "work"


def gather(tmp_path, experiment, plan, board="pynq-z2"):
    overlay = tmp_path / "overlay"
    fresh = collect(plan, tmp_path / "work", experiment, overlay, get_board(board))
    return overlay, fresh


def test_an_overlay_has_all_that_the_host_needs(tmp_path, experiment, finished, plan):
    overlay, fresh = gather(tmp_path, experiment, plan)
    assert fresh and not gather(tmp_path, experiment, plan)[1]
    manifest = load_manifest(overlay)
    network = QuantizedNetwork.load(overlay / "network.json")
    assert manifest.design_number == network.design_id
    assert (manifest.flow, manifest.board, manifest.clock_mhz) == ("vitis", "pynq-z2", 100.0)
    assert manifest.tools["vivado"] == "2024.1" and manifest.tools["vitis hls"] == "2024.1"
    build = manifest.build
    assert (build.core, build.checked, build.timing.met) == ("hls", ("csim",), True)
    assert build.used["lut"] == 29073 and build.available["dsp"] == 220
    assert (build.power.total, build.power.kind) == (0.085, "estimated")
    assert {name: facts.shape for name, facts in build.arrays.items()} == {
        name: array.codes.shape for name, array in network.recurrence.cores.items()
    }
    assert len(build.licences) == 3
    assert manifest.cycles_per_frame.kind == "estimated"
    golden = load_golden(overlay, manifest)
    np.testing.assert_array_equal(golden.results, ReferenceModel(network).run(golden.frames))
    assert {path.name for path in (overlay / "reports").iterdir()} >= {
        "timing_summary.rpt", "utilization.rpt", "power.rpt", "csynth.xml"
    }  # fmt: skip


def test_with_co_simulation_the_clocks_are_simulated(tmp_path, tools, experiment):
    plan = plan_of(experiment)
    run_plan(plan, tmp_path / "work")
    manifest = load_manifest(gather(tmp_path, experiment, plan)[0])
    assert (manifest.cycles_per_frame.cycles, manifest.cycles_per_frame.kind) == (97, "simulated")
    assert manifest.build.checked == ("csim", "cosim")


def test_weights_that_can_be_loaded_have_a_port_and_their_description(tmp_path, tools, experiment):
    without = plan_of(experiment, cosim=False)
    (experiment / "hls" / WEIGHTS_FILE).write_text("{}")
    plan = plan_of(experiment, cosim=False)
    assert plan.digest != without.digest
    masters = [f"m_axi_gmem_{name}" for name in ("frames", "results", "weights")]
    parts = dict(zip(("vendor", "library", "name", "version"), VLNV.split(":"), strict=True))
    tools.core("export", "files/impl/ip/component.xml", component_xml(parts, "hls", masters))
    assert run_plan(plan, tmp_path / "work") == STEPS
    overlay, _ = gather(tmp_path, experiment, plan)
    assert load_manifest(overlay).weights == WEIGHTS_FILE
    assert (overlay / WEIGHTS_FILE).is_file()


def test_the_summary_has_the_estimate_beside_the_report(tmp_path, experiment, finished, plan):
    manifest = load_manifest(gather(tmp_path, experiment, plan)[0])
    value = summary_json(manifest, experiment / "hls")
    assert value["clock"] == {
        "mhz": 100.0,
        "met": True,
        "slack_ns": 0.013,
        "allowed_failure": False,
        "kind": "reported by Vivado after placing and routing",
    }
    assert value["resources"]["lut"]["used"] == 29073
    assert value["resources"]["lut"]["estimated"] == 9000
    assert value["resources"]["dsp"]["share"] == pytest.approx(121 / 220)
    assert value["frames_per_second"]["value"] == pytest.approx(100e6 / 500)
    assert value["frames_per_second"]["kind"] == "estimated"
    assert value["measured_on_hardware"] is False


@pytest.mark.parametrize(
    ("name", "old", "new", "error", "message"),
    [
        ("utilization.rpt", "| DSPs           |  121", "| DSPs           |  221", ToolError,
         "takes 100% of the dsp of TUL PYNQ-Z2; use a schedule that takes less"),
        ("utilization.rpt", "7z020clg400-1", "7z010clg400-1", ArtifactError,
         "is of 7z010clg400-1, and the board has xc7z020clg400-1"),
        ("fdht.bit", "7z020clg400", "7z020clg484", ArtifactError, "fdht.bit: is for 7z020clg484"),
        ("fdht.hwh", "fdht:hls:fdht_lstm:1.0", "x:y:z:1.0", ArtifactError, "names no core fdht"),
        ("fdht.hwh", "</EDKSYSTEM>", "", ArtifactError, "is no hardware hand-off"),
        ("timing_summary.rpt", "      2.458        0.000                      0",
         "     -2.458        0.000                      9", ArtifactError, "contradicts itself"),
        ("power.rpt", "Dynamic (W)", "Dynamics", ArtifactError, r"has no row 'Dynamic \(W\)'"),
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_is_no_overlay(
    tmp_path, experiment, finished, plan, name, old, new, error, message
):
    path = finished / "results" / name
    data = path.read_bytes()
    assert old.encode() in data
    path.write_bytes(data.replace(old.encode(), new.encode()))
    with pytest.raises(error, match=message):
        gather(tmp_path, experiment, plan)
    assert not (tmp_path / "overlay").exists()


def missed(text):
    """A real summary, changed to one of a missed clock."""
    row = "      2.458        0.000                      0"
    assert row in text
    text = text.replace(row, "     -0.241       -3.404                     31")
    return text.replace(
        "All user specified timing constraints are met.", "Timing constraints are not met."
    )


def test_a_missed_clock_is_packaged_only_if_that_is_allowed(tmp_path, tools, experiment):
    stats = {"WNS": "-0.241", "WHS": "0.013", "TPWS": "0"}
    reports = dict(tools.effects.reports)
    reports["report_timing_summary"] = missed(reports["report_timing_summary"])
    tools.set(stats=stats, reports=reports)
    plan = plan_of(experiment, cosim=False, allow_timing_failure=True)
    run_plan(plan, tmp_path / "work")
    facts = load_manifest(gather(tmp_path, experiment, plan)[0]).build.timing
    assert (facts.met, facts.allowed_failure, facts.setup, facts.failing) == (
        False, True, -0.241, 31
    )  # fmt: skip


def test_the_report_decides_even_if_the_script_did_not(tmp_path, experiment, finished, plan):
    path = finished / "results" / "timing_summary.rpt"
    path.write_text(missed(path.read_text()))
    with pytest.raises(
        ToolError, match=r"does not meet its timing: -0.241 ns of slack, 31 failing"
    ):
        gather(tmp_path, experiment, plan)


def test_a_simulated_boards_file_is_no_bitstream(tmp_path, experiment, finished, plan):
    from fdht_overlays.bitfile import simulated_bitfile, write_bitfile

    write_bitfile(finished / "results" / "fdht.bit", simulated_bitfile(7, "7z020clg400"))
    with pytest.raises(ArtifactError, match=r"fdht\.bit: is for 7z020clg400"):
        gather(tmp_path, experiment, plan)


def test_an_ultrascale_board_goes_the_same_way(tmp_path, tools, experiment):
    reports = dict(tools.effects.reports)
    for name in ("report_utilization", "report_timing_summary"):
        for old in ("7z020clg400-1", "7z020-clg400"):
            reports[name] = reports[name].replace(old, "xck26-sfvc784-2LV-c")
    tools.set(reports=reports, bitstream=bitstream("xck26-sfvc784-2LV-c"))
    plan = plan_of(experiment, "kv260", cosim=False)
    assert run_plan(plan, tmp_path / "work") == STEPS
    overlay, _ = gather(tmp_path, experiment, plan, "kv260")
    assert load_manifest(overlay).clock_mhz == 200.0


# --- the core in RTL ---------------------------------------------------------------------------


@pytest.mark.parametrize(("known", "cycles"), [(True, (4321, "simulated")), (False, (500, "est"))])
def test_clocks_of_our_verilog_are_those_of_its_simulation(
    tmp_path, tools, experiment, monkeypatch, known, cycles
):
    verilog = rtl_core([master.name for master in MASTERS])
    monkeypatch.setattr("fdht_hls.rtl.emit.emit_verilog", lambda *given: verilog)
    digest = hashlib.sha256(verilog.encode()).hexdigest() if known else "0" * 64
    report = {"verilog": digest, "mismatches": 0, "cycles_per_frame": 4321.4}
    write_json(experiment / "cosim" / "report.json", report)
    plan = plan_of(experiment, core="rtl")
    assert plan.facts["variant"] == "vitis-rtl"
    assert run_plan(plan, tmp_path / "work") == ["package", *STEPS[3:]]
    manifest = load_manifest(gather(tmp_path, experiment, plan)[0])
    found = manifest.cycles_per_frame
    assert found.cycles == cycles[0] and found.kind.startswith(cycles[1])
    assert manifest.build.checked == (("fdht cosim",) if known else ())
    kind = summary_json(manifest, experiment / "hls")["frames_per_second"]["kind"]
    assert kind == found.kind


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

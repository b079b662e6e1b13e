"""Overlays from what a plan left behind."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.running import run_plan
from fdht_hls.registers import VLNV
from fdht_models.artifacts import MANIFEST, digest_file, read_json, write_json
from fdht_models.directories import LOADABLE, BuildDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel
from fdht_overlays.design import MASTERS
from fdht_overlays.figures import Figure
from fdht_overlays.golden import load_golden
from fdht_overlays.manifest import load_manifest
from fdht_overlays.plan.collect import _cycles, collect
from fdht_overlays.plan.summary import summary_json
from tests.hls.vitis.standin import csynth_xml
from tests.overlays.plan.tools import STEPS, bitstream, plan_of, write_conversion
from tests.overlays.vivado.packager import component_xml
from tests.overlays.vivado.running import needs_tcl, rtl_core

pytestmark = needs_tcl


@pytest.fixture
def finished(tmp_path, built, plan):
    shutil.copytree(built / "work", tmp_path / "work")
    assert run_plan(plan, tmp_path / "work") == []
    return tmp_path / "work"


def gather(tmp_path, experiment, plan, board="pynq-z2"):
    overlay, build = OverlayDirectory(tmp_path / "overlay"), BuildDirectory(experiment)
    found = get_board(board)
    fresh = collect(plan, tmp_path / "work", build.hls, build.cosim, overlay, found)
    return overlay.path, fresh


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
    assert manifest.clips is not None and manifest.clips.frames == 20
    estimate = json.loads((experiment / "hls" / "estimate.json").read_text())
    assert manifest.figures.estimate == Figure("estimated", "estimate.json of hls/", estimate)
    assert "metrics.json: is not in the manifest" in manifest.figures.left_out["training"]
    schedule = (experiment / "hls" / "schedule.json").read_bytes()
    assert (overlay / "schedule.json").read_bytes() == schedule
    assert manifest.cycles_per_frame.kind == "estimated"
    golden = load_golden(overlay, manifest)
    np.testing.assert_array_equal(golden.results, ReferenceModel(network).run(golden.frames))
    assert {path.name for path in (overlay / "reports").iterdir()} >= {
        "timing_summary.rpt", "utilization.rpt", "power.rpt", "csynth.xml"
    }  # fmt: skip


@pytest.mark.parametrize("frames", ["sparse", "raw"])
def test_an_overlay_says_which_frames_its_core_takes(tmp_path, tools, frames):
    experiment = write_conversion(tmp_path / "tiny", frames=frames)
    plan = plan_of(experiment, cosim=False)
    run_plan(plan, tmp_path / "work")
    overlay, fresh = gather(tmp_path, experiment, plan)
    assert fresh and not gather(tmp_path, experiment, plan)[1]
    manifest = load_manifest(overlay)
    assert (manifest.input.frames, manifest.input.frames_shown) == (frames, True)
    assert (manifest.sparse_pace is None) == (frames == "raw")
    golden = load_golden(overlay, manifest)
    assert len(golden.frames) - len(golden.results) == manifest.input.frames_before


def test_with_co_simulation_the_clocks_are_simulated(tmp_path, tools, experiment):
    plan = plan_of(experiment)
    run_plan(plan, tmp_path / "work")
    manifest = load_manifest(gather(tmp_path, experiment, plan)[0])
    assert (manifest.cycles_per_frame.cycles, manifest.cycles_per_frame.kind) == (97, "simulated")
    # Where zeros are skipped, the frames of that simulation are not the slowest.
    build = BuildDirectory(experiment)
    found, compared = _cycles(plan, tmp_path / "work", build.hls, build.cosim, skips=True)
    assert found.kind == "estimated" and "cosim" in compared
    assert manifest.build.checked == ("csim", "cosim")


def test_weights_that_can_be_loaded_have_a_port_and_their_description(tmp_path, tools, experiment):
    without = plan_of(experiment, cosim=False)
    (experiment / "hls" / LOADABLE).write_text("{}")
    manifest = read_json(experiment / "hls" / MANIFEST)
    manifest["files"][LOADABLE] = digest_file(experiment / "hls" / LOADABLE)
    write_json(experiment / "hls" / MANIFEST, manifest)
    plan = plan_of(experiment, cosim=False)
    assert plan.digest != without.digest
    masters = [f"m_axi_gmem_{name}" for name in ("frames", "results", "weights")]
    parts = dict(zip(("vendor", "library", "name", "version"), VLNV.split(":"), strict=True))
    tools.core("export", "files/impl/ip/component.xml", component_xml(parts, "hls", masters))
    assert run_plan(plan, tmp_path / "work") == STEPS
    overlay, _ = gather(tmp_path, experiment, plan)
    assert load_manifest(overlay).weights == LOADABLE
    assert (overlay / LOADABLE).is_file()


def test_the_summary_has_the_estimate_beside_the_report(tmp_path, experiment, finished, plan):
    manifest = load_manifest(gather(tmp_path, experiment, plan)[0])
    value = summary_json(manifest)
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
    from fdht_overlays.bitfile import simulated_bitfile

    (finished / "results" / "fdht.bit").write_bytes(simulated_bitfile(7, "7z020clg400").to_bytes())
    with pytest.raises(ArtifactError, match=r"fdht\.bit: is for 7z020clg400"):
        gather(tmp_path, experiment, plan)


def test_an_ultrascale_board_goes_the_same_way(tmp_path, tools, experiment):
    reports = dict(tools.effects.reports)
    for name in ("report_utilization", "report_timing_summary"):
        for old in ("7z020clg400-1", "7z020-clg400"):
            reports[name] = reports[name].replace(old, "xck26-sfvc784-2LV-c")
    tools.set(reports=reports, bitstream=bitstream("xck26-sfvc784-2LV-c"))
    report = csynth_xml(part="xck26-sfvc784-2LV-c")
    tools.core("csynth", "files/syn/report/csynth.xml", report)
    plan = plan_of(experiment, "kv260", cosim=False)
    assert run_plan(plan, tmp_path / "work") == STEPS
    overlay, _ = gather(tmp_path, experiment, plan, "kv260")
    assert load_manifest(overlay).clock_mhz == 200.0


# --- the core in RTL ---------------------------------------------------------------------------


@pytest.mark.parametrize(("known", "cycles"), [(True, (4321, "simulated")), (False, (500, "est"))])
def test_clocks_of_our_verilog_are_those_of_its_simulation(
    tmp_path, tools, experiment, monkeypatch, known, cycles
):
    verilog = rtl_core(list(MASTERS))
    monkeypatch.setattr("fdht_hls.rtl.core.emit_verilog", lambda *given: verilog)
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
    kind = summary_json(manifest)["frames_per_second"]["kind"]
    assert kind == found.kind

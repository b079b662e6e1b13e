"""`fdht synthesize` and `fdht build` do the steps of the core once, whichever comes first."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.running import run_plan
from fdht_hls.vitis.core_steps import DEFAULT_STEPS
from fdht_hls.vitis.synthesis import Synthesis
from fdht_hls.vitis.synthesis import synthesize as run_synthesis
from fdht_models.directories import BuildDirectory, OverlayDirectory
from fdht_models.errors import ArtifactError, EqualityError, ToolError
from fdht_overlays.plan.collect import collect
from fdht_overlays.plan.vitis import shared_core
from tests.hls.vitis.standin import COMPONENT, LOGS, csynth_xml
from tests.overlays.plan.tools import ROOT, STEPS, plan_of
from tests.overlays.vivado.running import needs_tcl

pytestmark = needs_tcl
BOARD = "pynq-z2"
VIVADO = [step for step in STEPS if step not in DEFAULT_STEPS]


def synthesize(experiment: Path, steps: tuple[str, ...]) -> Synthesis:
    place = BuildDirectory(experiment)
    return run_synthesis(place.hls, place.synthesis, steps)


def build(experiment: Path, work: Path, board: str = BOARD, **options: object) -> list[str]:
    """What `fdht build` runs; steps that were done now."""
    plan = plan_of(experiment, board, **options)
    shared = shared_core(plan, BuildDirectory(experiment).synthesis, get_board(board))
    return run_plan(plan, work, timeout=60, shared=shared)


def core_of(experiment: Path) -> Path:
    return experiment / "synthesis" / "xc7z020clg400-1" / "work"


def test_a_build_takes_what_synthesize_did(tmp_path, tools, experiment):
    assert synthesize(experiment, DEFAULT_STEPS).fresh == DEFAULT_STEPS
    for name in ("csim", "csynth", "cosim", "export"):  # once more, they would fail
        tools.core(name, "error", "")
    assert build(experiment, tmp_path / "work") == VIVADO
    assert build(experiment, tmp_path / "work") == []
    plan = plan_of(experiment)
    place, overlay = BuildDirectory(experiment), OverlayDirectory(tmp_path / "overlay")
    work = tmp_path / "work"
    assert collect(plan, work, place.hls, place.cosim, overlay, get_board(BOARD))
    assert (tmp_path / "overlay" / "reports" / "csynth.xml").is_file()


def test_synthesize_takes_what_a_build_did_and_adds_what_it_left_out(tmp_path, tools, experiment):
    assert build(experiment, tmp_path / "work", cosim=False) == STEPS
    assert synthesize(experiment, ("csim", "csynth", "export")).fresh == ()
    assert synthesize(experiment, DEFAULT_STEPS).fresh == ("cosim",)
    assert build(experiment, tmp_path / "work", cosim=True) == []


def test_so_do_the_commands(tmp_path, tools, experiment, capsys):
    import fdht

    (experiment / "model").mkdir()
    where = ["tiny", "--build", str(tmp_path)]
    assert fdht.main(["synthesize", *where, "--steps", "csim,csynth"]) == 0
    for name in ("csim", "csynth"):
        tools.core(name, "error", "")
    assert fdht.main(["build", *where, "--board", BOARD]) == 0
    capsys.readouterr()
    assert fdht.main(["synthesize", *where, "--board", BOARD, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fresh"] == [] and list(told["steps"]) == list(DEFAULT_STEPS)


def test_boards_with_one_device_share_its_core(tmp_path, tools, experiment):
    build(experiment, tmp_path / "z2", "pynq-z2", cosim=False)
    assert build(experiment, tmp_path / "z1", "pynq-z1", cosim=False) == VIVADO


def test_another_clock_is_another_core(tmp_path, tools, experiment):
    build(experiment, tmp_path / "work", cosim=False)
    assert build(experiment, tmp_path / "work", cosim=False, clock_mhz=50.0) == STEPS


def test_a_build_of_before_is_finished_in_its_own_directory(tmp_path, tools, experiment):
    """Version 0.1 did the core beside the rest, with the same records."""
    run_plan(plan_of(experiment, cosim=False), tmp_path / "work")
    (tmp_path / "work" / "results" / "fdht.bit").unlink()
    assert build(experiment, tmp_path / "work", cosim=False) == ["bitstream"]
    assert not core_of(experiment).exists()


def test_all_of_the_core_is_taken(tmp_path, tools, experiment):
    tools.core("export", "files/impl/ip/hdl/verilog/fdht_lstm.v", "module fdht_lstm; endmodule\n")
    build(experiment, tmp_path / "work", cosim=False)
    assert (tmp_path / "work/core/fdht_core/solution/impl/ip/hdl/verilog/fdht_lstm.v").is_file()
    assert (tmp_path / "work" / "logs" / "csynth.log").is_file()


def test_a_tool_of_a_later_step_is_missed_before_the_first(tmp_path, tools, experiment):
    (tools.programs / "vivado").unlink()
    with pytest.raises(ToolError, match="vivado: is missing on this machine; step design"):
        build(experiment, tmp_path / "work")
    assert not core_of(experiment).exists()
    (tools.programs / "vitis_hls").unlink()
    with pytest.raises(ToolError, match="vitis-run or vitis_hls, vivado: are missing"):
        build(experiment, tmp_path / "work")


def test_a_core_that_is_done_needs_no_vitis(tmp_path, tools, experiment):
    synthesize(experiment, DEFAULT_STEPS)
    (tools.programs / "vitis_hls").unlink()
    assert build(experiment, tmp_path / "work") == VIVADO


def test_a_core_that_was_damaged_is_made_again(tmp_path, tools, experiment):
    synthesize(experiment, ("csynth",))
    for path in core_of(experiment).glob("core/fdht_core/*/syn/verilog/fdht_lstm.v"):
        path.write_text("x")
    assert build(experiment, tmp_path / "work", cosim=False) == STEPS


def test_an_ip_core_that_was_damaged_is_exported_again(tmp_path, tools, experiment):
    synthesize(experiment, DEFAULT_STEPS)
    for path in core_of(experiment).glob("core/fdht_core/*/impl/ip/component.xml"):
        path.write_text("x")
    assert build(experiment, tmp_path / "work") == ["export", *VIVADO]
    assert "fdht_lstm" in next(tmp_path.glob("work/**/ip/component.xml")).read_text()


@pytest.mark.parametrize(
    ("step", "name", "text", "error", "message"),
    [
        ("csim", "log", LOGS["csim"].replace("0 words differ", "2 words differ"), EqualityError,
         "Vitis HLS csim: 2 of 20 words"),
        ("csynth", "files/syn/report/csynth.xml", csynth_xml(part="xc7z010clg400-1"),
         ArtifactError, "csynth.xml: is of 'fdht_lstm' on 'xc7z010clg400-1'"),
        ("export", "files/impl/ip/component.xml", COMPONENT.format(name="other"), ArtifactError,
         "is fdht:hls:other:1.0; the driver binds to"),
    ],
)  # fmt: skip
def test_a_core_that_is_wrong_is_refused_by_both_and_never_done(
    tmp_path, tools, experiment, step, name, text, error, message
):
    right = (tools.directory / "effects" / step / name).read_text()
    tools.core(step, name, text)
    for run in (
        lambda: synthesize(experiment, ("csim", "csynth", "export")),
        lambda: build(experiment, tmp_path / "work", cosim=False),
    ):
        with pytest.raises(error, match=re.escape(message)):
            run()
    assert not (core_of(experiment) / "records" / step).exists()
    tools.core(step, name, right)
    assert step in build(experiment, tmp_path / "work", cosim=False)


def test_what_a_killed_run_had_done_is_not_done_again(tmp_path, tools, experiment):
    tools.core("export", "sleep", "")
    code = (
        "import sys; from pathlib import Path; from tests.overlays.plan.test_shared import build; "
        "build(Path(sys.argv[1]), Path(sys.argv[2]), cosim=False)"
    )
    command = [sys.executable, "-c", code, str(experiment), str(tmp_path / "work")]
    log = core_of(experiment) / "logs" / "export.log"
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ)) as run:
        until = time.monotonic() + 60
        while not log.is_file() or "export_design" not in log.read_text():
            assert time.monotonic() < until and run.poll() is None
            time.sleep(0.1)
        run.kill()
    # The tool that nobody waits for has the lock as long as it lives.
    with pytest.raises(ArtifactError, match="is in use by another run"):
        build(experiment, tmp_path / "work", cosim=False)
    (tools.directory / "effects" / "export" / "sleep").unlink()
    while left := _working_in(core_of(experiment)):
        for process in left:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.1)
    assert build(experiment, tmp_path / "work", cosim=False) == ["export", *VIVADO]


def _working_in(directory: Path) -> list[int]:
    """Processes that work below a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append(int(process.name))
    return found

"""build_core.tcl under a real Tcl interpreter with a strict table of the tool's commands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from fdht_hls.registers import VLNV
from fdht_hls.vitis.core_steps import SPELLINGS, STEPS, Target, core_files
from tests.hls.vitis.rendered import render
from tests.hls.vitis.standin import INTERPRETER, PART, needs_tclsh

pytestmark = needs_tclsh
FLOWS = {"project": ["open_project", "open_solution"], "component": ["open_component"]}
DESIGN = {
    "csim": "csim_design -clean",
    "csynth": "csynth_design",
    "cosim": "cosim_design -rtl verilog -tool xsim -trace_level none",
    "export": "export_design -rtl verilog -format ip_catalog -vendor fdht -library hls "
    "-ipname fdht_lstm -version 1.0",
    "impl": "export_design -flow impl -rtl verilog -format ip_catalog -vendor fdht -library hls "
    "-ipname fdht_lstm -version 1.0",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with sources that nobody reads."""
    for name in ("firmware/fdht_lstm.cpp", "fdht_testbench.cpp", "tb_data/frames.hex"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    text = render("build_core.tcl.j2", part=PART, clock_period=8)
    (tmp_path / "build_core.tcl").write_text(text)
    return tmp_path


def call(
    project: Path,
    flow: str = "project",
    name: str = "vitis_hls",
    arguments: list[str] | None = None,
    script: str = "build_core.tcl",
) -> tuple[int, str]:
    """Runs a script: exit code and output."""
    words = [name, *(SPELLINGS[name] if arguments is None else arguments), script]
    done = subprocess.run(
        ["tclsh", str(INTERPRETER), *words],
        cwd=project,
        env={**os.environ, "STANDIN_FLOW": flow, "STANDIN_EFFECTS": str(project / "effects")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def commands(output: str) -> list[str]:
    return re.findall(r"^INFO: \[HLS 200-1510\] Running: (.*?) *$", output, re.MULTILINE)


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("flow", FLOWS)
def test_by_hand_the_script_does_all_steps(project, flow, name):
    code, output = call(project, flow, name)
    assert code == 0, output
    done = commands(output)
    assert done[-4:] == [DESIGN[step] for step in STEPS[:4]]
    assert [text.split()[0] for text in done if text.startswith("open_")] == FLOWS[flow]
    assert all("-reset" in text for text in done if text.startswith("open_"))
    assert f"set_part {PART}" in done and "create_clock -period 8 -name default" in done
    assert re.findall(r"FDHT: (\w+) ended", output) == list(STEPS[:4])


@pytest.mark.parametrize("flow", FLOWS)
def test_the_settings_choose_step_part_and_clock(project, flow):
    target = Target("xck26-sfvc784-2LV-c", 3.75)
    for step in STEPS:
        files = core_files(project, target, [step])
        for name in ("settings.tcl", f"{step}.tcl"):
            (project / name).write_bytes(files[f"core/{name}"])
        code, output = call(project, flow, script=f"{step}.tcl")
        assert code == 0, output
        done = commands(output)
        assert done[-1] == DESIGN[step]
        assert f"set_part {target.part}" in done
        assert "create_clock -period 3.7500 -name default" in done
        # Only a synthesis starts anew: what follows it needs its results.
        assert any("-reset" in text for text in done) == (step == "csynth")


def test_the_core_is_named_as_the_driver_binds_to_it():
    vendor, library, name, version = VLNV.split(":")
    for step in ("export", "impl"):
        assert (
            f"-vendor {vendor} -library {library} -ipname {name} -version {version}" in DESIGN[step]
        )


def test_addresses_have_64_bits_as_the_register_map_says(project):
    _, output = call(project)
    assert "config_interface -m_axi_addr64 -m_axi_max_widen_bitwidth 64" in commands(output)


def test_a_failing_step_ends_the_script_with_an_error(project):
    (project / "effects" / "csynth").mkdir(parents=True)
    (project / "effects" / "csynth" / "error").write_text("")
    code, output = call(project)
    assert code == 1
    assert "ERROR: [FDHT] csynth failed: 4" in output
    assert re.findall(r"FDHT: (\w+) ended", output) == ["csim"]


# The stand-in refuses -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("csynth_design }", "csynth_design -effort high }", "unknown option '-effort'"),
        ("csim_design -clean", "csim_design -clean=maybe", "'-clean' is true or false"),
        ("-tool xsim", "-tool questa", "'questa' is no value of '-tool'"),
        ("-rtl verilog -tool", "-rtl systemc -tool", "'systemc' is no value of '-rtl'"),
        ("-trace_level none", "-trace_level", "'-trace_level' needs a value"),
        ("-format ip_catalog", "-format zip", "'zip' is no value of '-format'"),
        ("-version 1.0", "-version one", "'one' is no value of '-version'"),
        ("-flow impl", "-flow route", "'route' is no value of '-flow'"),
        ("-flow_target vivado\n}", "-flow_target zynq\n}", "'zynq' is no value of '-flow_target'"),
        ("-period $clock_period", "-period fast", "'fast' is no value of '-period'"),
        ("-period $clock_period", "-period -1", "'-1' is no value of '-period'"),
        ("create_clock", "create_clocks", "unknown command 'create_clocks'"),
        ("set_top fdht_lstm\n", "", "csim_design before top"),
        ("set_top fdht_lstm\n", "set_top\n", "set_top: 0 arguments, not 1"),
        ("set_top fdht_lstm\n", "set_top a b\n", "set_top: 2 arguments, not 1"),
        ("set_part $part\n", "", "csim_design before part"),
        ("set_part $part\n", "set_part zynq7020\n", "'zynq7020' is no device"),
        ("create_clock -period $clock_period -name default\n", "", "csim_design before clock"),
        ("firmware/fdht_lstm.cpp", "firmware/other.cpp", "firmware/other.cpp does not exist"),
        ("-m_axi_max_widen_bitwidth 64", "-m_axi_max_widen_bitwidth 65", "'65' is no value"),
        ("-m_axi_addr64", "-m_axi_addr64 -m_axi_addr64", "'-m_axi_addr64' twice"),
        ("{csim csynth cosim export}", "{csim cosim}", "cosim_design before csynth_design"),
        ("{csim csynth cosim export}", "{export}", "export_design before csynth_design"),
        ("{csim csynth cosim export}", "{simulate}", "unknown step 'simulate'"),
        ("    open_project {*}$fresh fdht_core", "", "set_top before container"),
        ("    open_solution {*}$fresh solution -flow_target vivado", "", "before solution"),
    ],
)
def test_a_wrong_script_is_refused(project, old, new, message):
    path = project / "build_core.tcl"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new).replace("cosim export}", "cosim export impl}"))
    code, output = call(project)
    assert code == 1
    assert message in output


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("set_top fdht_lstm\n", "top"),
        ('add_files firmware/fdht_lstm.cpp -cflags "-std=c++14"\n', "sources"),
        ("set_part $part\n", "part"),
        ("create_clock -period $clock_period -name default\n", "clock"),
    ],
)
def test_a_synthesis_before_what_it_needs_is_refused(project, line, what):
    path = project / "build_core.tcl"
    text = path.read_text()
    assert line in text
    path.write_text(text.replace(line, ""))
    (project / "settings.tcl").write_text("set steps {csynth}\n")
    code, output = call(project)
    assert code == 1 and f"stand-in: csynth_design before {what}" in output


def test_a_test_bench_is_needed(project):
    path = project / "build_core.tcl"
    text = re.sub(r"add_files -tb .*\n", "", path.read_text())
    path.write_text(text)
    code, output = call(project)
    assert code == 1 and "csim_design before bench" in output


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("vitis_hls", ["--tcl"]), ("vitis-run", ["--tcl"]), ("vitis-run", ["-f"]), ("vitis", ["-f"])],
)
def test_a_wrong_call_of_the_tool_is_refused(project, name, arguments):
    code, output = call(project, name=name, arguments=arguments)
    assert code == 1 and "stand-in: " in output


@pytest.mark.parametrize("part", ["xc7z020clg400-1}", "a b", "[exit]", "", "xc7z020;exit", "é1"])
def test_a_part_that_is_no_word_never_reaches_a_script(part):
    with pytest.raises(Exception, match=r"part = .*: is not the name of a device"):
        Target(part, 10.0)


@pytest.mark.parametrize("period", [0.0, -1.0, float("nan"), 1e6])
def test_a_clock_that_is_none_is_refused(period):
    with pytest.raises(Exception, match=r"clock_period = .*: must be between 0\.5 and 1000 ns"):
        Target(PART, period)

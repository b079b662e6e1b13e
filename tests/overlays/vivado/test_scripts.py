"""Every Tcl that a build gives to Vivado, under a real Tcl interpreter and the strict stand-in."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fdht_hls.boards import board_names, get_board
from fdht_hls.engine import lower
from fdht_hls.registers import REGISTERS, VLNV, present
from fdht_models.errors import ConfigError
from fdht_overlays.design import masters
from fdht_overlays.vivado.design import block_design
from fdht_overlays.vivado.scripts import steps_of
from tests.overlays.vivado.model import Effects
from tests.overlays.vivado.running import (
    BOARD_PARTS,
    design_of,
    needs_tcl,
    run_all,
    run_step,
    write_plan,
)
from tests.overlays.vivado.session import BACKENDS

pytestmark = needs_tcl
BOARDS = [name for name in board_names() if not get_board(name).simulated]


def effects(**changes) -> Effects:
    return Effects(**{"board_parts": BOARD_PARTS, **changes})


def diagram(directory, design):
    """The block design as it was when the step `design` saved it."""
    if design.core == "rtl":
        assert run_step(directory, "package", effects())[0] == 0
    code, output, vivado = run_step(directory, "design", effects())
    assert code == 0, output
    return vivado


@pytest.mark.parametrize("loadable", [False, True], ids=["two", "three"])
@pytest.mark.parametrize("core", ["hls", "rtl"])
@pytest.mark.parametrize("board", BOARDS)
def test_every_board_and_core_gets_its_files(tmp_path, board, core, loadable):
    design = design_of(board, core, loadable)
    output = run_all(write_plan(tmp_path, design), design, effects())
    done = re.findall(r"^FDHT: (\w+) ended$", "\n".join(output), re.MULTILINE)
    assert done == list(steps_of(design)), output[-3:]
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {
        "fdht.bit",
        "fdht.hwh",
        "power.rpt",
        "timing_summary.rpt",
        "utilization.rpt",
        "utilization_hierarchical.rpt",
        "utilization_synthesis.rpt",
    }


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_interpreter_runs_them(tmp_path, backend):
    design = design_of("pynq-z2", "hls")
    output = run_all(write_plan(tmp_path, design), design, effects(), backend)
    assert output[-1] == "FDHT: bitstream ended"


def test_the_zynq_7000_gets_one_port_through_a_smartconnect():
    design = design_of("pynq-z2", "hls", True)
    (path,) = design.paths
    assert path.port.interface == "S_AXI_HP0"
    assert path.names.properties["PCW_S_AXI_HP0_DATA_WIDTH"] == "64"
    assert path.masters == masters(loadable=True) and path.switch == "memory_0"
    assert design.switches == {"control_0": 1, "memory_0": 3}
    assert design.properties["PCW_S_AXI_HP0_DATA_WIDTH"] == "64"
    assert design.properties["PCW_UIPARAM_DDR_FREQ_MHZ"] == "525"


def test_the_ultrascale_gets_a_port_each_with_nothing_between():
    design = design_of("zcu104", "hls", True)
    ports = [path.port.interface for path in design.paths]
    assert ports == ["S_AXI_HP0_FPD", "S_AXI_HP1_FPD", "S_AXI_HP2_FPD"]
    assert [path.switch for path in design.paths] == [None] * 3
    assert design.switches == {"control_0": 1}
    assert design.properties["PSU__SAXIGP2__DATA_WIDTH"] == "64"
    assert design.properties["PSU__SAXIGP4__DATA_WIDTH"] == "64"


def test_what_cannot_be_placed_is_refused():
    with pytest.raises(ConfigError, match=r"board = 'sim': is simulated; Vivado has nothing"):
        design_of("sim", "hls")


@pytest.mark.parametrize("core", ["hls", "rtl"])
def test_addresses_on_the_zynq_7000(tmp_path, core):
    design = design_of("pynq-z1", core)
    found = diagram(write_plan(tmp_path, design), design).calls
    assigned = [call for call in found if call.startswith("assign_bd_address")]
    prefix = "Data_" if core == "hls" else ""
    assert re.findall(r"-offset (\S+) -range (\S+) -target_address_space space::(\S+)",
                      "\n".join(assigned)) == [
        ("0x43C00000", "0x00010000", "processing_system7_0/Data"),
        ("0x00000000", "0x20000000", f"fdht_lstm_0/{prefix}m_axi_gmem_frames"),
        ("0x00000000", "0x20000000", f"fdht_lstm_0/{prefix}m_axi_gmem_results"),
    ]  # fmt: skip


def test_memory_above_two_gigabytes_is_mapped_where_there_is_some(tmp_path):
    def high(board):
        design = design_of(board, "hls")
        return [
            path.names.segments[1].name
            for path in design.paths
            if path.names.segments[1].offset == 0x8_0000_0000
        ]

    assert high("kv260") == high("zcu102") == ["SAXIGP2/HP0_DDR_HIGH", "SAXIGP3/HP1_DDR_HIGH"]
    assert high("zcu104") == high("ultra96-v2") == []


def test_the_clock_is_the_boards_or_what_is_asked(tmp_path):
    assert design_of("kv260", "hls").properties["PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ"] == "200"
    slower = block_design(get_board("pynq-z2"), "hls", clock_mhz=62.5)
    assert slower.properties["PCW_FPGA0_PERIPHERAL_FREQMHZ"] == "62.5"


def test_a_board_file_that_is_not_installed_is_named(tmp_path):
    design = design_of("ultra96-v2", "hls")
    output = run_all(write_plan(tmp_path, design), design, effects(board_parts=()))
    assert "ERROR: [FDHT] design: Vivado has no board file avnet.com:ultra96v2:part0" in output[-1]


def test_the_newest_board_file_is_taken_and_none_is_needed_for_the_zynq_7000(tmp_path):
    design = design_of("zcu104", "hls")
    parts = ("xilinx.com:zcu104:part0:1.0", "xilinx.com:zcu104:part0:1.1")
    write_plan(tmp_path, design)
    _, _, vivado = run_step(tmp_path, "design", effects(board_parts=parts))
    assert any("board_part xilinx.com:zcu104:part0:1.1" in call for call in vivado.calls)
    assert BOARD_PARTS and not any("pynq" in part for part in BOARD_PARTS)


@pytest.mark.parametrize("version", ["2019.2", "2022.1", "2021.1.1", "unknown"])
def test_an_old_vivado_is_refused(tmp_path, version):
    design = design_of("pynq-z2", "hls")
    output = run_all(write_plan(tmp_path, design), design, effects(version=version))
    assert output[-1].startswith(f"ERROR: [FDHT] Vivado {version} is too old; 2022.2 or later")


@pytest.mark.parametrize("version", ["2022.2", "2023.2.1", "2024.1.2", "2024.2_AR0001", "2025.2"])
def test_newer_ones_are_taken(tmp_path, version):
    design = design_of("pynq-z2", "hls")
    assert run_all(write_plan(tmp_path, design), design, effects(version=version))[-1].endswith(
        "bitstream ended"
    )


@pytest.mark.parametrize("name", ["WNS", "WHS", "TPWS"])
def test_a_missed_clock_gives_no_bitstream(tmp_path, name):
    design = design_of("pynq-z2", "hls")
    stats = {"WNS": "0.1", "WHS": "0.1", "TPWS": "0.1", name: "-0.213"}
    status = {"impl_1": "route_design Complete, Failed Timing!"}
    output = run_all(write_plan(tmp_path, design), design, effects(stats=stats, status=status))
    assert output[-1] == (f"ERROR: [FDHT] implementation: timing not met: {name} is -0.213 ns")
    assert not (tmp_path / "results" / "fdht.bit").exists()
    # The reports that explain it are there.
    assert (tmp_path / "results" / "timing_summary.rpt").exists()


def test_a_missed_clock_that_is_allowed_is_said(tmp_path):
    design = design_of("pynq-z2", "hls")
    write_plan(tmp_path, design, allow_timing_failure=True)
    stats = {"WNS": "-0.213", "WHS": "0.1", "TPWS": "0.1"}
    output = run_all(tmp_path, design, effects(stats=stats))
    assert "FDHT: timing not met, and that was allowed: WNS is -0.213 ns" in output
    assert (tmp_path / "results" / "fdht.bit").exists()


def test_a_run_that_tells_no_slack_is_no_success(tmp_path):
    design = design_of("pynq-z2", "hls")
    output = run_all(write_plan(tmp_path, design), design, effects(stats={"WNS": "0.1"}))
    assert output[-1] == "ERROR: [FDHT] implementation: the run tells no WHS"


def test_a_failed_run_says_the_first_error_of_its_log(tmp_path):
    design = design_of("pynq-z2", "hls")
    log = "INFO: fine\nERROR: [Synth 8-439] module 'fdht_lstm' not found\nERROR: [Synth 8-6156]\n"
    failing = effects(status={"synth_1": "synth_design ERROR"}, log={"synth_1": log})
    output = run_all(write_plan(tmp_path, design), design, failing)
    assert output[-1] == (
        "ERROR: [FDHT] synthesis: ERROR: [Synth 8-439] module 'fdht_lstm' not found"
    )


def test_a_failed_run_without_a_log_says_its_status(tmp_path):
    design = design_of("pynq-z2", "hls")
    failing = effects(status={"impl_1": "place_design ERROR"})
    output = run_all(write_plan(tmp_path, design), design, failing)
    assert output[-1] == "ERROR: [FDHT] implementation: ended with 'place_design ERROR'"


@pytest.mark.parametrize("loadable", [False, True])
def test_the_packaged_core_has_the_drivers_name_and_its_registers(tmp_path, loadable):
    design = design_of("zcu102", "rtl", loadable)
    code, output, vivado = run_step(write_plan(tmp_path, design), "package", effects())
    assert code == 0, output
    component = (tmp_path / "core" / "ip" / "component.xml").read_text()
    assert component.count("m_axi_gmem") == 2 + loadable
    added = [call.split()[1] for call in vivado.calls if call.startswith("ipx::add_register")]
    wanted = present(REGISTERS, loadable=loadable)
    assert len(added) == sum(register.width // 32 for register in wanted)
    assert {"frames_1", "frames_2", "CTRL", "frames_done"} <= set(added)
    assert ("load_weights" in added) is loadable
    assert VLNV == "fdht:hls:fdht_lstm:1.0"


@pytest.mark.parametrize(
    ("frames", "own"),
    [("sparse", {"call_words", "frame_faults", "core_frames"}), ("raw", {"core_frames"})],
)
def test_a_core_of_other_frames_has_registers_of_its_own(tmp_path, frames, own):
    """The rest is as for dense frames: address map, masters, clocks."""
    found = {}
    for kind in ("dense", frames):
        design = replace(design_of("pynq-z2", "rtl", False), frames=kind)
        directory = write_plan(tmp_path / kind, design)
        code, output, vivado = run_step(directory, "package", effects())
        assert code == 0, output
        added = {call.split()[1] for call in vivado.calls if call.startswith("ipx::add_register")}
        calls = diagram(directory, design).calls
        found[kind] = added, [call.replace(str(directory), "") for call in calls]
    assert found[frames][0] - found["dense"][0] == own
    assert found[frames][1] == found["dense"][1]
    assert any(call.startswith("assign_bd_address") for call in found[frames][1])


def test_a_core_without_an_axi_port_is_refused(tmp_path):
    design = design_of("zcu102", "rtl")
    write_plan(tmp_path, design)
    path = tmp_path / "core" / "fdht_lstm.v"
    path.write_text(path.read_text().replace("m_axi_gmem_results", "gmem"))
    code, output, _ = run_step(tmp_path, "package", effects())
    assert code == 1
    assert "the Verilog's ports m_axi_gmem_results were not seen as an AXI port" in output[-1]


def test_without_a_packaged_core_there_is_no_design(tmp_path):
    design = design_of("pynq-z2", "rtl")
    code, output, _ = run_step(write_plan(tmp_path, design), "design", effects())
    assert (code, output[-1]) == (1, "ERROR: [FDHT] design: there is no packaged core in core/ip")


def test_another_core_is_refused(tmp_path):
    design = design_of("pynq-z2", "hls")
    write_plan(tmp_path, design)
    path = next((tmp_path / "core").rglob("component.xml"))
    path.write_text(path.read_text().replace("fdht_lstm", "other"))
    code, output, _ = run_step(tmp_path, "design", effects())
    assert code == 1 and "the packaged core is not fdht:hls:fdht_lstm:1.0" in output[-1]


def test_the_verilog_that_we_emit_is_packaged(tmp_path):
    pytest.importorskip("amaranth", reason="NOT TESTED: packaging real Verilog; no amaranth")
    from fdht_hls.rtl.core import emit_verilog
    from tests.overlays.sample_network import sample_network

    design = design_of("pynq-z2", "rtl")
    write_plan(tmp_path, design)
    network = sample_network()
    verilog = emit_verilog(lower(network))
    (tmp_path / "core" / "fdht_lstm.v").write_text(verilog)
    output = run_all(tmp_path, design, effects())
    assert output[-1] == "FDHT: bitstream ended", output[-3:]

"""A test for each thing that the stand-in refuses: a script with one mistake in it."""

from __future__ import annotations

import pytest

from tests.overlays.vivado.model import Effects
from tests.overlays.vivado.running import BOARD_PARTS, design_of, needs_tcl, run_step, write_plan

pytestmark = needs_tcl

CELL = "[get_bd_cells processing_system7_0]"
FRAMES = "[get_bd_intf_pins fdht_lstm_0/m_axi_gmem_frames]"
SPACE = "[get_bd_addr_spaces fdht_lstm_0/Data_m_axi_gmem_frames]"
SEGMENT = "[get_bd_addr_segs processing_system7_0/S_AXI_HP0/HP0_DDR_LOWOCM]"
#: What is wrong -> step, board, text to replace (once, and all that follows where it is "..."), the
#: text in its place, what the stand-in says.
MISTAKES = {
    "an unknown command": (
        "design", "pynq-z2", "save_bd_design", "store_bd_design",
        "unknown command 'store_bd_design'"),
    "an unknown option": (
        "design", "pynq-z2", "update_ip_catalog -rebuild", "update_ip_catalog -rebuilt",
        r"update_ip_catalog: unknown option '-rebuilt' (UG835)"),
    "an option twice": (
        "design", "pynq-z2", "create_project -force", "create_project -force -force",
        "create_project: option '-force' twice"),
    "an option without its value": (
        "design", "pynq-z2", "update_compile_order -fileset sources_1",
        "update_compile_order -fileset", "update_compile_order: '-fileset' needs a value"),
    "a value that an option does not have": (
        "design", "pynq-z2", "create_bd_cell -type ip -vlnv [fdht_ip proc",
        "create_bd_cell -type block -vlnv [fdht_ip proc",
        "create_bd_cell: 'block' is no value of '-type'"),
    "no number": (
        "design", "pynq-z2", "-offset 0x43C00000", "-offset 43C0h",
        "'-offset' is no number: '43C0h'"),
    "too many arguments": (
        "design", "pynq-z2", "create_bd_design fdht", "create_bd_design fdht twice",
        "create_bd_design: 2 arguments, not 1 (UG835)"),
    "a variable that is not set": (
        "design", "pynq-z2", "generate_target all $design_file", "generate_target all $bd_file",
        'can\'t read "bd_file": no such variable'),
    "a name in place of an object": (
        "design", "pynq-z2", "generate_target all $design_file", "generate_target all fdht.bd",
        "generate_target: 'fdht.bd' is no object of kind file"),
    "an unknown cell": (
        "design", "pynq-z2", "[get_bd_cells control_0]", "[get_bd_cells control_1]",
        "there is no cell 'control_1'"),
    "an unknown pin": (
        "design", "pynq-z2", "fdht_lstm_0/ap_clk", "fdht_lstm_0/ap_clock",
        "there is no pin 'fdht_lstm_0/ap_clock'"),
    "an unknown interface": (
        "design", "pynq-z2", "memory_0/S01_AXI", "memory_0/S02_AXI",
        "there is no interface 'memory_0/S02_AXI'"),
    "a port that is not switched on": (
        "design", "pynq-z2", "CONFIG.PCW_USE_S_AXI_HP0 {1}", "",
        "there is no pin 'processing_system7_0/S_AXI_HP0_ACLK'"),
    "an interrupt that is not switched on": (
        "design", "kv260", "CONFIG.PSU__USE__IRQ0 {1}", "",
        "there is no pin 'zynq_ultra_ps_e_0/pl_ps_irq0'"),
    "a net that was never made": (
        "design", "pynq-z2", "-net clock [get_bd_pins control_0/aclk]",
        "-net clk [get_bd_pins control_0/aclk]",
        "there is no net 'clk' to connect 'control_0/aclk' to"),
    "a pin in two nets": (
        "design", "pynq-z2", "[get_bd_pins memory_0/aclk]", "[get_bd_pins control_0/aclk]",
        "pin 'control_0/aclk' is connected to net 'clock' already"),
    "two drivers": (
        "design", "pynq-z2", "-net clock [get_bd_pins memory_0/aclk]",
        "-net reset_in [get_bd_pins reset_0/interconnect_aresetn]", "net has two drivers"),
    "no driver": (
        "design", "pynq-z2", "[get_bd_pins processing_system7_0/FCLK_RESET0_N] ", "",
        "there is no net 'reset_in' to connect 'reset_0/ext_reset_in' to"),
    "a net of inputs": (
        "design", "pynq-z2", "-net reset_in [get_bd_pins processing_system7_0/FCLK_RESET0_N]",
        "-net reset_in [get_bd_pins memory_0/aresetn]", "has no driver"),
    "a clock at a reset": (
        "design", "pynq-z2", "-net reset_out [get_bd_pins memory_0/aresetn]",
        "-net clock [get_bd_pins memory_0/aresetn]", "net joins a clock and a reset"),
    "a clock that is not connected": (
        "design", "pynq-z2", "connect_bd_net -net clock [get_bd_pins memory_0/aclk]", "",
        "pin 'memory_0/aclk' is not connected"),
    "a reset that is not connected": (
        "design", "kv260", "connect_bd_net -net reset_out [get_bd_pins control_0/aresetn]", "",
        "pin 'control_0/aresetn' is not connected"),
    "an interrupt that is not connected": (
        "design", "pynq-z2", "connect_bd_net -net interrupt", "list",
        "pin 'fdht_lstm_0/interrupt' is not connected"),
    "a master that is not connected": (
        "design", "kv260", f"connect_bd_intf_net {FRAMES}", "list",
        "does not reach segment"),
    "a slave that is not connected": (
        "design", "pynq-z2", "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {64}",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {64} CONFIG.PCW_USE_S_AXI_HP1 {1}",
        "pin 'processing_system7_0/S_AXI_HP1_ACLK' is not connected"),
    "an interface connected twice": (
        "design", "pynq-z2", "memory_0/S01_AXI", "memory_0/S00_AXI",
        "interface 'memory_0/S00_AXI' is connected already"),
    "two masters": (
        "design", "pynq-z2", "[get_bd_intf_pins memory_0/M00_AXI] [get_bd_intf_pins proc",
        "[get_bd_intf_pins memory_0/M00_AXI] [get_bd_intf_pins control_0/M00_AXI] ;# ",
        "are both masters"),
    "AXI4 at AXI3": (
        "design", "pynq-z2", f"connect_bd_intf_net {FRAMES} [get_bd_intf_pins memory_0/S00_AXI]",
        f"connect_bd_intf_net {FRAMES} [get_bd_intf_pins processing_system7_0/S_AXI_HP0]",
        "'fdht_lstm_0/m_axi_gmem_frames' speaks AXI4 and 'processing_system7_0/S_AXI_HP0' AXI3"),
    "64 bits at 128": (
        "design", "kv260", "CONFIG.PSU__SAXIGP2__DATA_WIDTH {64}", "",
        "'fdht_lstm_0/m_axi_gmem_frames' has 64 bits and 'zynq_ultra_ps_e_0/S_AXI_HP0_FPD' 128"),
    "pins of the device that go nowhere": (
        "design", "pynq-z2", 'make_external "FIXED_IO, DDR"', 'make_external "FIXED_IO"',
        "interface 'processing_system7_0/DDR' does not leave the device"),
    "a property that the block does not have": (
        "design", "pynq-z2", "CONFIG.PCW_USE_S_AXI_HP0 {1}", "CONFIG.PCW_USE_S_AXI_HP7 {1}",
        "processing_system7_0 has no property CONFIG.PCW_USE_S_AXI_HP7 (PG082)"),
    "a value that a property does not have": (
        "design", "pynq-z2", "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {64}",
        "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH {128}",
        "'128' is no value of CONFIG.PCW_S_AXI_HP0_DATA_WIDTH (PG082)"),
    "a property without its prefix": (
        "design", "pynq-z2", "CONFIG.NUM_SI {2}", "NUM_SI {2}", "a cell has no property 'NUM_SI'"),
    "a property of the project that is none": (
        "design", "pynq-z2", "set_property ip_repo_paths", "set_property ip_paths",
        "a project has no property 'ip_paths'"),
    "a name without a value": (
        "design", "pynq-z2", "CONFIG.NUM_SI {2} CONFIG.NUM_MI {1} CONFIG.NUM_CLKS {1}",
        "CONFIG.NUM_SI", "-dict has a name without a value"),
    "a property of nothing": (
        "design", "pynq-z2", "set_property top fdht_wrapper [current_fileset]",
        "set_property top fdht_wrapper sources_1", "'sources_1' is no object"),
    "a block that the catalogue does not have": (
        "design", "pynq-z2", "[fdht_ip smartconnect] memory_0", "xilinx.com:ip:smart:1.0 memory_0",
        "the catalogue has no 'xilinx.com:ip:smart:1.0'"),
    "a cell twice": (
        "design", "pynq-z2", "[fdht_ip smartconnect] memory_0", "[fdht_ip smartconnect] control_0",
        "there is a cell 'control_0'"),
    "another block's automation": (
        "design", "pynq-z2", "bd_rule:processing_system7", "bd_rule:zynq_ultra_ps_e",
        "rule 'xilinx.com:bd_rule:zynq_ultra_ps_e' is not its own"),
    "an option that automation does not know": (
        "design", "kv260", 'apply_board_preset "1"', 'apply_board_preset "1" Master "Disable"',
        "-config knows no 'Master'"),
    "a preset without a board": (
        "design", "pynq-z2", 'apply_board_preset "0"', 'apply_board_preset "1"',
        "a board preset without a board part"),
    "a part that is not installed": (
        "design", "kv260", "[lindex $files end]", "xilinx.com:kv260_som:part0:9.9",
        "no board part 'xilinx.com:kv260_som:part0:9.9'"),
    "an unknown address space": (
        "design", "pynq-z2", SPACE, "[get_bd_addr_spaces fdht_lstm_0/m_axi_gmem_frames]",
        "there is no address space 'fdht_lstm_0/m_axi_gmem_frames'"),
    "an unknown segment": (
        "design", "pynq-z2", SEGMENT, "[get_bd_addr_segs processing_system7_0/S_AXI_HP0/DDR]",
        "there is no segment 'processing_system7_0/S_AXI_HP0/DDR'"),
    "a segment out of reach": (
        "design", "kv260", "[get_bd_addr_segs zynq_ultra_ps_e_0/SAXIGP2/HP0_DDR_LOW]",
        "[get_bd_addr_segs zynq_ultra_ps_e_0/SAXIGP3/HP1_DDR_LOW]",
        "'fdht_lstm_0/Data_m_axi_gmem_frames' does not reach segment"),
    "overlapping addresses": (
        "design", "kv260", "-offset 0x800000000 -range 0x80000000",
        f"-offset 0x00000000 -range 0x1000 -target_address_space "
        f"{SPACE} [get_bd_addr_segs zynq_ultra_ps_e_0/SAXIGP2/HP0_DDR_LOW];#",
        "overlaps 'zynq_ultra_ps_e_0/SAXIGP2/HP0_DDR_LOW' in"),
    "a segment at another place": (
        "design", "kv260", "-offset 0x800000000", "-offset 0x00000000",
        "lies at 0x800000000, not at 0x0"),
    "a range that is no power of two": (
        "design", "pynq-z2", "-range 0x00010000", "-range 0x00018000",
        "range 0x18000 of 'fdht_lstm_0/s_axi_control/Reg' is no power of two"),
    "an offset that is no multiple": (
        "design", "pynq-z2", "-offset 0x43C00000", "-offset 0x43C01000",
        "offset 0x43c01000 of 'fdht_lstm_0/s_axi_control/Reg' is no multiple of its range"),
    "more memory than there is": (
        "design", "pynq-z2", "-range 0x20000000", "-range 0x40000000",
        "range 0x40000000 of 'processing_system7_0/S_AXI_HP0/HP0_DDR_LOWOCM' is more than its"),
    "an address that the processors do not reach": (
        "design", "kv260", "-offset 0xA0000000", "-offset 0x43C00000",
        "'zynq_ultra_ps_e_0/Data' ends before 0x43c10000 or begins after"),
    "a segment without an address": (
        "design", "kv260", "exclude_bd_addr_seg", "list",
        "segment 'zynq_ultra_ps_e_0/SAXIGP2/HP0_QSPI' has no address in"),
    "an address without a range": (
        "design", "pynq-z2", "-range 0x00010000 ", "",
        "assign_bd_address: offset, range and address space are due"),
    "a wrapper of what was not validated": (
        "design", "pynq-z2", "validate_bd_design\n", "\n",
        "generate_target: the block design is not validated"),
    "a change after validation": (
        "design", "pynq-z2", "    validate_bd_design\n",
        "validate_bd_design\ncreate_bd_cell -type ip -vlnv [fdht_ip proc_sys_reset] more\n"
        "connect_bd_net -net clock [get_bd_pins more/slowest_sync_clk]\n",
        "the block design is not validated"),
    "a file that is not there": (
        "design", "pynq-z2", "[make_wrapper -files $design_file -top]", "nowhere.v",
        "add_files: 'nowhere.v' does not exist"),
    "no top": (
        "design+synthesis", "pynq-z2", "set_property top fdht_wrapper [current_fileset]", "",
        "the wrapper is not the top"),
    "a project that is not there": (
        "synthesis", "pynq-z2", "", "", "fdht.xpr' does not exist"),
    "an unknown run": (
        "design+synthesis", "pynq-z2", "reset_runs synth_1", "reset_runs synth_2",
        "there is no run 'synth_2'"),
    "a second launch without a reset": (
        "design+synthesis", "pynq-z2", "fdht_run synth_1 synth_design",
        "fdht_run synth_1 synth_design; fdht_run synth_1 synth_design",
        "synth_1 has run; reset it first"),
    "a last step of a synthesis": (
        "design+synthesis", "pynq-z2", "fdht_run synth_1 synth_design",
        "fdht_run synth_1 synth_design -to_step synth_design",
        "'-to_step' is for implementation only (UG835)"),
    "a step that a run does not have": (
        "design+synthesis+implementation", "pynq-z2", "-to_step route_design",
        "-to_step write_device_image", "impl_1 has no step 'write_device_image'"),
    "placing before synthesis": (
        "design+implementation", "pynq-z2", "", "", "impl_1 before synth_1"),
    "a report of nothing": (
        "design+synthesis", "pynq-z2", "open_run synth_1", "",
        "report_utilization: no run is open"),
    "a bitstream of what is not routed": (
        "design+bitstream", "pynq-z2", "", "", "open_run: impl_1 is not complete"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_is_refused(tmp_path, name):
    steps, board, old, new, message = MISTAKES[name]
    design = design_of(board, "hls")
    write_plan(tmp_path, design)
    effects = Effects(board_parts=BOARD_PARTS)
    *before, last = steps.split("+")
    for script in (tmp_path / "vivado").iterdir():
        text = script.read_text()
        if old and old in text:
            count = -1 if old == "exclude_bd_addr_seg" else 1
            script.write_text(text.replace(old, new, count))
            break
    else:
        assert not old, f"'{old}' is in no script"
    for step in before:
        code, output, _ = run_step(tmp_path, step, effects)
        assert code == 0, output
    code, output, _ = run_step(tmp_path, last, effects)
    assert code == 1
    assert message in output[-1]


PACKAGING = {
    "no clock for a bus": (
        "ipx::associate_bus_interfaces -busif $bus -clock ap_clk $core", "",
        "bus 's_axi_control' has no clock"),
    "a clock that is none": ("-clock ap_clk", "-clock clk", "no bus 's_axi_control' or no clock"),
    "no interrupt": (
        "ipx::infer_bus_interface interrupt xilinx.com:signal:interrupt_rtl:1.0 $core", "",
        "'interrupt' is no interface"),
    "a port that is none": (
        "ipx::infer_bus_interface interrupt", "ipx::infer_bus_interface irq", "no port 'irq'"),
    "two registers at a place": (
        "address_offset 0x28", "address_offset 0x1c", "'frame_count' overlaps 'results_1'"),
    "a register without a place": (
        "set_property address_offset 0x28 $register", "", "register 'frame_count' has no place"),
    "registers in another block": (
        "set_property name Reg $block", "", "the registers are in 'reg0', not in Reg"),
    "an unchecked core": ("ipx::check_integrity $core", "", "check_integrity comes first"),
    "a register twice": (
        "ipx::add_register frame_count", "ipx::add_register CTRL", "there is a register 'CTRL'"),
    "a property that registers do not have": (
        "set_property size 32 $register", "set_property bits 32 $register",
        "a register of a core has no property 'bits'"),
    "a core without a vendor": ("-vendor fdht ", "", "without -vendor"),
    "no top": ("set_property top fdht_lstm [current_fileset]", "", "the project has no top"),
    "a map that is none": (
        "ipx::get_memory_maps s_axi_control", "ipx::get_memory_maps s_axi",
        "no memory map 's_axi'"),
}  # fmt: skip


@pytest.mark.parametrize("name", PACKAGING)
def test_is_refused_of_a_core(tmp_path, name):
    old, new, message = PACKAGING[name]
    write_plan(tmp_path, design_of("pynq-z2", "rtl"))
    script = tmp_path / "vivado" / "package.tcl"
    assert old in script.read_text()
    script.write_text(script.read_text().replace(old, new, 1))
    code, output, _ = run_step(tmp_path, "package", Effects())
    assert code == 1
    assert message in output[-1]

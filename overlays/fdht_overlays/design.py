"""The block design: its instances, the core's ports and where the processing system sees them.

One table for whoever builds the design, writes its hand-off file or wraps the core: Vivado's block
design, `hwh`, and the shell of the open flow. Port names are those that Vitis HLS derives from the
bundles of the core's interface pragmas, and that `fdht_hls.rtl.core` gives its ports.
"""

from __future__ import annotations

#: Instances.
CORE, PROCESSING_SYSTEM = "fdht_lstm_0", "processing_system7_0"
#: The core's AXI4-Lite port, and its AXI4 masters.
CONTROL = "s_axi_control"
MASTERS = ("m_axi_gmem_frames", "m_axi_gmem_results")
#: The master of a core with weights that can be loaded.
WEIGHTS_MASTER = "m_axi_gmem_weights"
#: The core's other ports.
CLOCK, RESET, INTERRUPT = "ap_clk", "ap_rst_n", "interrupt"
#: Bits of the addresses on the control port and on a master; bits of a master's data.
CONTROL_ADDRESS_BITS, MASTER_ADDRESS_BITS, MASTER_DATA_BITS = 16, 64, 64
#: Where M_AXI_GP0 of a Zynq-7000 sees the core: Vivado's default for a first HLS core.
CORE_ADDRESS = 0x43C0_0000
#: The processing system's port to the core, its clock, reset and interrupt.
CONTROL_MASTER, FABRIC_CLOCK, FABRIC_RESET = "M_AXI_GP0", "FCLK_CLK0", "FCLK_RESET0_N"
FABRIC_INTERRUPT = "IRQ_F2P"
#: Bits of the IDs on M_AXI_GP0 and S_AXI_HP0..3 (UG585, "AXI_GP/HP Interface").
CONTROL_ID_BITS, MEMORY_ID_BITS = 12, 6


def masters(loadable: bool) -> tuple[str, ...]:
    """The AXI4 masters of a core, with or without weights that can be loaded."""
    return (*MASTERS, WEIGHTS_MASTER) if loadable else MASTERS

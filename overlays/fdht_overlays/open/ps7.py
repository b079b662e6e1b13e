"""The primitive PS7: its ports, and how the shell names those that it uses.

Names and widths are those of the primitive (UG953, and `cells_xtra.v` of yosys, which a test
compares with). Directions are the primitive's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Bits of an address on an AXI port of the processing system.
ADDRESS_BITS = 32

# A brace stands for each of its comma-separated words, `a..b` for each number; `:` gives the width.
_INPUTS = """
DDRARB:4 EVENTEVENTI FPGAIDLEN IRQF2P:20 FCLKCLKTRIGN:4
DMA{0..3}{ACLK,DAREADY,DRLAST,DRVALID,DRTYPE:2}
EMIOCAN{0..1}PHYRX EMIOGPIOI:64 EMIOI2C{0..1}{SCLI,SDAI} EMIOPJTAG{TCK,TDI,TMS}
EMIOENET{0..1}{EXTINTIN,GMIICOL,GMIICRS,GMIIRXCLK,GMIIRXDV,GMIIRXER,GMIITXCLK,MDIOI,GMIIRXD:8}
EMIOSDIO{0..1}{CDN,CLKFB,CMDI,WP,DATAI:4} EMIOSPI{0..1}{MI,SCLKI,SI,SSIN} EMIOSRAMINTIN
EMIOTRACECLK EMIOTTC{0..1}CLKI:3 EMIOUART{0..1}{CTSN,DCDN,DSRN,RIN,RX}
EMIOUSB{0..1}VBUSPWRFAULT EMIOWDTCLKI
FTMD{TRACEINATID:4,TRACEINCLOCK,TRACEINDATA:32,TRACEINVALID} FTMTF2P{DEBUG:32,TRIG:4}
FTMTP2FTRIGACK:4
MAXIGP{0..1}{ACLK,ARREADY,AWREADY,BVALID,RLAST,RVALID,WREADY,BID:12,RID:12,BRESP:2,RRESP:2,RDATA:32}
SAXI{ACP,GP0,GP1,HP0,HP1,HP2,HP3}{ACLK,ARVALID,AWVALID,BREADY,RREADY,WLAST,WVALID}
SAXI{ACP,GP0,GP1,HP0,HP1,HP2,HP3}{ARBURST:2,ARLOCK:2,ARSIZE:2,AWBURST:2,AWLOCK:2,AWSIZE:2}
SAXI{ACP,GP0,GP1,HP0,HP1,HP2,HP3}{ARPROT:3,AWPROT:3,ARADDR:32,AWADDR:32,ARCACHE:4,AWCACHE:4}
SAXI{ACP,GP0,GP1,HP0,HP1,HP2,HP3}{ARLEN:4,AWLEN:4,ARQOS:4,AWQOS:4}
SAXIACP{ARID:3,AWID:3,WID:3,ARUSER:5,AWUSER:5,WDATA:64,WSTRB:8}
SAXIGP{0..1}{ARID:6,AWID:6,WID:6,WDATA:32,WSTRB:4}
SAXIHP{0..3}{ARID:6,AWID:6,WID:6,WDATA:64,WSTRB:8,RDISSUECAP1EN,WRISSUECAP1EN}
"""
_OUTPUTS = """
FCLKCLK:4 FCLKRESETN:4
MAXIGP0{ARVALID,AWVALID,BREADY,RREADY,WLAST,WVALID,ARID:12,AWID:12,WID:12,ARADDR:32,AWADDR:32}
MAXIGP0{ARBURST:2,ARSIZE:2,AWBURST:2,AWSIZE:2,ARLEN:4,AWLEN:4,WDATA:32,WSTRB:4}
SAXIHP0{ARREADY,AWREADY,BVALID,RLAST,RVALID,WREADY,BRESP:2,RRESP:2,BID:6,RID:6,RDATA:64}
"""
#: The ports of the processing system that the shell uses.
CONTROL, MEMORY = "MAXIGP0", "SAXIHP0"


def _expand(text: str) -> dict[str, int]:
    """Name -> width."""
    ports = {}
    words = text.split()
    while words:
        word = words.pop(0)
        brace = re.search(r"\{([^}]*)\}", word)
        if brace is None:
            name, _, width = word.partition(":")
            ports[name] = int(width or 1)
            continue
        first, dots, last = brace[1].partition("..")
        choices = map(str, range(int(first), int(last) + 1)) if dots else brace[1].split(",")
        rest = word[brace.end() :]
        # A width stands at the end, whichever brace it came from.
        for choice in choices:
            name, _, width = choice.partition(":")
            words.append(f"{word[: brace.start()]}{name}{rest}" + (f":{width}" if width else ""))
    return ports


#: Every input of the primitive.
INPUTS: Mapping[str, int] = _expand(_INPUTS)
#: What the shell reads and drives, by the primitive's names. The other inputs are tied to 0, as
#: Vivado's wrapper of the primitive ties those that a design leaves out.
USED_OUTPUTS: Mapping[str, int] = _expand(_OUTPUTS)
USED_INPUTS: Mapping[str, int] = {
    name: width
    for name, width in INPUTS.items()
    if name.startswith((CONTROL, MEMORY)) or name == "IRQF2P"
}

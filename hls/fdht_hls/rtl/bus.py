"""The AXI buses of the core as Amaranth interfaces: every signal that Vitis HLS gives a port.

Signals have the names of the AMBA specification (ARM IHI 0022) and are seen from the master.
"""

from __future__ import annotations

from amaranth.hdl import Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_models.tensor.quantized import WORD_BYTES

#: Words of a burst at most: AXI3, which the ports of a Zynq-7000 speak, allows no more.
MAX_BURST = 16
#: No burst crosses a multiple of so many bytes (ARM IHI 0022, A3.4.1).
BOUNDARY = 4096
ADDRESS_BITS = 64

_INCR = Const(1, 2)
#: "Normal non-cacheable bufferable", as Vitis HLS has it.
_CACHE = Const(0b0011, 4)


class Lite(wiring.Signature):
    """AXI4-Lite with 32 bits of data."""

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                "AWVALID": Out(1),
                "AWREADY": In(1),
                "AWADDR": Out(address_bits),
                "WVALID": Out(1),
                "WREADY": In(1),
                "WDATA": Out(32),
                "WSTRB": Out(4),
                "BVALID": In(1),
                "BREADY": Out(1),
                "BRESP": In(2),
                "ARVALID": Out(1),
                "ARREADY": In(1),
                "ARADDR": Out(address_bits),
                "RVALID": In(1),
                "RREADY": Out(1),
                "RDATA": In(32),
                "RRESP": In(2),
            }
        )


def _address_channel(prefix: str) -> dict[str, wiring.Member]:
    widths = {
        "ADDR": ADDRESS_BITS,
        "ID": 1,
        "LEN": 8,
        "SIZE": 3,
        "BURST": 2,
        "LOCK": 2,
        "CACHE": 4,
        "PROT": 3,
        "QOS": 4,
        "REGION": 4,
        "USER": 1,
    }
    return {
        f"{prefix}VALID": Out(1),
        f"{prefix}READY": In(1),
        **{f"{prefix}{name}": Out(width) for name, width in widths.items()},
    }


class Full(wiring.Signature):
    """AXI4.

    Args:
        word_bytes: bytes of a word of data.
    """

    def __init__(self, word_bytes: int = WORD_BYTES) -> None:
        super().__init__(
            {
                **_address_channel("AW"),
                "WVALID": Out(1),
                "WREADY": In(1),
                "WDATA": Out(8 * word_bytes),
                "WSTRB": Out(word_bytes),
                "WLAST": Out(1),
                "WID": Out(1),
                "WUSER": Out(1),
                **_address_channel("AR"),
                "RVALID": In(1),
                "RREADY": Out(1),
                "RDATA": In(8 * word_bytes),
                "RLAST": In(1),
                "RID": In(1),
                "RUSER": In(1),
                "RRESP": In(2),
                "BVALID": In(1),
                "BREADY": Out(1),
                "BRESP": In(2),
                "BID": In(1),
                "BUSER": In(1),
            }
        )


def drive_burst_kind(m: Module, bus: wiring.PureInterface, prefix: str) -> None:
    """Drives what is the same for all bursts of an address channel, `prefix` "AR" or "AW".

    The other signals of the channel keep their initial 0: one ID, no lock, no quality of service.
    """
    size = Const((len(bus.WSTRB) - 1).bit_length(), 3)
    for name, value in (("SIZE", size), ("BURST", _INCR), ("CACHE", _CACHE)):
        m.d.comb += getattr(bus, prefix + name).eq(value)


def is_error(response: Signal) -> Value:
    """1 for SLVERR and DECERR."""
    return response[1]


def burst_length(word_address: Value, words_left: Value) -> Value:
    """Words of the next burst: to the next multiple of `MAX_BURST` words, or to the end.

    Bursts that end at such multiples never cross `BOUNDARY`, which is one of them for words of up
    to 256 bytes.
    """
    to_boundary = Const(MAX_BURST, 5) - word_address[: (MAX_BURST - 1).bit_length()]
    return Mux(words_left < to_boundary, words_left, to_boundary)[:5]


def flat_ports(
    prefix: str, signature: wiring.Signature, flow: wiring.Flow
) -> dict[str, wiring.Member]:
    """Members of a top level, one a signal, named as Vitis HLS names them: `<prefix>_<signal>`.

    Args:
        prefix: such as "s_axi_control".
        signature: of the bus, seen from the master.
        flow: Out if the top level is the master, In if it is the slave.
    """
    seen = signature if flow == Out else signature.flip()
    return {f"{prefix}_{name}": member for name, member in seen.members.items()}


def connect_flat(m: Module, top: wiring.Component, prefix: str, bus: wiring.PureInterface) -> None:
    """Connects the members that `flat_ports` gave `top` with the same port of an inner part."""
    for name, member in bus.signature.members.items():
        outer, inner = getattr(top, f"{prefix}_{name}"), getattr(bus, name)
        m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)

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


#: Signals of an address channel of AXI4 beside VALID and READY, and their widths.
_ADDRESS = {
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


def _channel(name: str, flow: wiring.Flow, **widths: int) -> dict[str, wiring.Member]:
    """A channel that the master sends (Out) or receives (In): what READY answers, and READY."""
    return {
        f"{name}VALID": flow(1),
        f"{name}READY": flow.flip()(1),
        **{f"{name}{signal}": flow(width) for signal, width in widths.items()},
    }


class Lite(wiring.Signature):
    """AXI4-Lite with 32 bits of data."""

    def __init__(self, address_bits: int) -> None:
        super().__init__(
            {
                **_channel("AW", Out, ADDR=address_bits),
                **_channel("W", Out, DATA=32, STRB=4),
                **_channel("B", In, RESP=2),
                **_channel("AR", Out, ADDR=address_bits),
                **_channel("R", In, DATA=32, RESP=2),
            }
        )


class Full(wiring.Signature):
    """AXI4.

    Args:
        word_bytes: bytes of a word of data.
    """

    def __init__(self, word_bytes: int = WORD_BYTES) -> None:
        bits = 8 * word_bytes
        super().__init__(
            {
                **_channel("AW", Out, **_ADDRESS),
                **_channel("W", Out, DATA=bits, STRB=word_bytes, LAST=1, ID=1, USER=1),
                **_channel("AR", Out, **_ADDRESS),
                **_channel("R", In, DATA=bits, LAST=1, ID=1, USER=1, RESP=2),
                **_channel("B", In, RESP=2, ID=1, USER=1),
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

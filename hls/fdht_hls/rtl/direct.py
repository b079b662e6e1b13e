"""DirectFront: for words of sums that hold all gates of some units; nothing is collected."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring

from fdht_hls.rtl.cell_ports import CellParameters, front_ports


class DirectFront(wiring.Component):
    """Joins the words of both paths and issues their units one by one; see `front_ports`.

    Args:
        own: what the cell is made of.
    """

    def __init__(self, own: CellParameters) -> None:
        self.own = own
        super().__init__(front_ports(own))

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        lanes = own.plan.units_in_word
        lane, number = Signal(range(lanes)), Signal(own.number)
        last_lane, last = lane == lanes - 1, number == own.units - 1
        # A frame that starts from zero still takes the words of W_h h that the former one left.
        word = self.projected.valid & self.frame.valid & (self.recurrent.valid | self.fresh)
        room = ~last | self.space
        issue = Signal()
        module.d.comb += [
            issue.eq(word & room),
            self.projected.ready.eq(issue & last_lane),
            self.recurrent.ready.eq(issue & last_lane & ~self.fresh),
            self.frame.ready.eq(issue & last),
            self.sums.valid.eq(issue),
            self.sums.number.eq(number),
            self.sums.last.eq(last),
            self.sums.zero.eq(self.frame.payload | self.fresh),
            self.starved.eq(~word),
            self.blocked.eq(word & ~room),
        ]
        with module.If(issue):
            module.d.sync += [
                lane.eq(Mux(last_lane, 0, lane + 1)),
                number.eq(Mux(last, 0, number + 1)),
            ]
        with module.Switch(lane):
            for at in range(lanes):
                with module.Case(at):
                    for gate in range(own.gates):
                        place = gate * lanes + at
                        module.d.comb += [
                            self.sums.projected[gate].eq(self.projected.payload[place]),
                            self.sums.recurrent[gate].eq(self.recurrent.payload[place]),
                        ]
        return module

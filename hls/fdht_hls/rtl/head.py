"""The head: one multiplier a class, fed with one hidden unit a clock while units are produced."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import align, code_shape, delay, packed, registered
from fdht_hls.rtl.cell_ports import CellParameters, rom
from fdht_hls.rtl.queue import WordQueue
from fdht_models.tensor.quantized import LOGIT_BYTES, QuantizedNetwork

#: Results that the head holds: one that is being read, and one that a frame may complete.
_DEPTH = 2
#: Clocks from the last unit to the logits.
_CLOCKS = 3


def logits_layout(network: QuantizedNetwork) -> data.ArrayLayout:
    """One frame's logits."""
    return data.ArrayLayout(signed(8 * LOGIT_BYTES), len(network.classes))


class DenseHead(wiring.Component):
    """Hidden codes to logits.

    Args:
        network: the network.
        own: what its cell is made of.

    Attributes:
        unit: units with their new hidden codes, all of a frame.
        space: there is room for another result.
        taken: input: a frame whose result needs that room has been issued.
        logits: stream of results.
        busy: a unit is multiplied.
        starved: none comes.
        blocked: there is no room for another result.
    """

    def __init__(self, network: QuantizedNetwork, own: CellParameters) -> None:
        self.network, self.own = network, own
        super().__init__(
            {
                "unit": In(own.unit),
                "space": Out(1),
                "taken": In(1),
                "logits": Out(stream.Signature(logits_layout(network))),
                "busy": Out(1),
                "starved": Out(1),
                "blocked": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        module.submodules.queue = queue = WordQueue(logits_layout(self.network), _DEPTH)
        left = Signal(range(_DEPTH + 1), init=_DEPTH)
        given = self.logits.valid & self.logits.ready
        module.d.sync += left.eq(left - self.taken + given)
        module.d.comb += [
            self.space.eq(left != 0),
            self.busy.eq(self.unit.valid),
            self.blocked.eq(~self.unit.valid & (left == 0)),
            self.starved.eq(~self.unit.valid & (left != 0)),
        ]
        for place, logit in enumerate(self._logits(module)):
            module.d.comb += queue.words.payload[place].eq(logit)
        complete = self.unit.valid & self.unit.last
        module.d.comb += queue.words.valid.eq(delay(module, complete, _CLOCKS, init=0))
        wiring.connect(module, wiring.flipped(self.logits), queue.result)
        return module

    def _logits(self, module: Module) -> list[Any]:
        """The logits, `_CLOCKS` after the last unit."""
        head, total = self.network.head, self.network.logit_format
        layout = data.ArrayLayout(code_shape(head.weights.format), len(self.network.classes))
        rows = packed(head.weights.codes[self.own.order], head.weights.format.width)
        weights = rom(module, "weights", rows, layout, self.unit.number)
        hidden = registered(module, self.unit.hidden, "hidden")
        first = delay(module, self.unit.number == 0, 2)
        valid = delay(module, self.unit.valid, 2, init=0)
        fraction = self.own.recurrence.cell.hidden.fraction + head.weights.format.fraction
        shifts = (total.fraction - fraction, total.fraction - head.bias.format.fraction)
        found = []
        for number, bias in enumerate(head.bias.codes):
            term = registered(module, hidden * weights[number], "product")
            register = Signal(signed(total.width), reset_less=True, name="logit_sum")
            with module.If(valid):
                module.d.sync += register.eq(Mux(first, 0, register) + term)
            constant = Const(int(bias) << shifts[1], signed(total.width + 1))
            found.append(align(register, shifts[0]) + constant)
        return found

"""The head: one multiplier a class, fed with one hidden unit a clock while units are produced."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import HEAD_BIAS, HEAD_WEIGHTS, EnginePlan, HeadPlan
from fdht_hls.rtl.arithmetic import align, code_shape, delay, packed, registered
from fdht_hls.rtl.cell_ports import unit_code
from fdht_hls.rtl.weight_loader import load_port, row_of, unit_rows
from fdht_hls.rtl.words import WordQueue, activity
from fdht_models.tensor.quantized import LOGIT_BYTES

#: Results that the head holds: one that is being read, and one that a frame may complete.
_DEPTH = 2
#: Clocks from the last unit to the logits.
_CLOCKS = 4


def logits_layout(head: HeadPlan) -> data.ArrayLayout:
    """One frame's logits."""
    return data.ArrayLayout(signed(8 * LOGIT_BYTES), head.classes)


class DenseHead(wiring.Component):
    """Hidden codes to logits.

    Args:
        own: the plan that it is part of.

    Attributes:
        unit: units with their new hidden codes, all of a frame.
        space: there is room for another result.
        taken: input: a frame whose result needs that room has been issued.
        logits: stream of results.
        busy: a unit is multiplied.
        starved: none comes.
        blocked: there is no room for another result.
    """

    def __init__(self, own: EnginePlan) -> None:
        self.head, self.own = own.head, own
        super().__init__(
            {
                "unit": In(unit_code(own.cell)),
                "space": Out(1),
                "taken": In(1),
                "logits": Out(stream.Signature(logits_layout(own.head))),
                **activity(1),
                **load_port(own.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        module.submodules.queue = queue = WordQueue(logits_layout(self.head), _DEPTH)
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
        head, total = self.head, self.head.logits
        layout = data.ArrayLayout(code_shape(head.weights.format), head.classes)
        rows = packed(head.weights.codes[self.own.cell.order], head.weights.format.width)
        order = self.own.cell.order.tolist()
        load = row_of(self, self.own.layout, HEAD_WEIGHTS)
        weights = unit_rows(module, "weights", rows, layout, self.unit.number, order, load)
        # They may come from a memory block, and nothing but a register is to follow that.
        weights = layout(registered(module, Value.cast(weights), "weights"))
        hidden = delay(module, self.unit.hidden, 2)
        first = delay(module, self.unit.number == 0, 3)
        valid = delay(module, self.unit.valid, 3, init=0)
        found = []
        for number, bias in enumerate(self._bias(module)):
            term = registered(module, hidden * weights[number], "product")
            register = Signal(signed(total.width), reset_less=True, name="logit_sum")
            with module.If(valid):
                module.d.sync += register.eq(Mux(first, 0, register) + term)
            found.append(align(register, head.product_shift) + align(bias, head.bias_shift))
        return found

    def _bias(self, module: Module) -> list[Any]:
        """The bias of each class: a constant, or a register."""
        bias = self.head.bias
        shape, codes = code_shape(bias.format), [int(code) for code in bias.codes[0]]
        load = row_of(self, self.own.layout, HEAD_BIAS)
        if load is None:
            return [Const(code, shape) for code in codes]
        enable, _, row = load
        # Like the tables, they outlive a reset.
        held = [Signal(shape, init=code, reset_less=True, name="bias") for code in codes]
        with module.If(enable):
            module.d.sync += Cat(*held).eq(row)
        return held

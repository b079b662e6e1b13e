"""The update of a cell's units, one a clock: the program of the cell as a pipeline.

A unit's states are read and written once a frame; the next frame's update of it waits for W_h h,
and so for all of this frame's.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import BIAS, EnginePlan
from fdht_hls.engine.pipeline import PARTS, STATE_CLOCKS, TABLE_CLOCKS, UpdatePipeline
from fdht_hls.rtl.arithmetic import (
    align,
    code_shape,
    delay,
    packed,
    raw,
    registered,
    round_saturate,
)
from fdht_hls.rtl.cell_ports import context_port, seen_as, unit_code, unit_sums
from fdht_hls.rtl.weight_loader import load_port, row_of, unit_rows
from fdht_models.errors import ConversionError
from fdht_models.tensor.cells.operations import (
    Bias,
    Complement,
    Former,
    Lookup,
    Product,
    Projected,
    Recurrent,
    Round,
    Sum,
)
from fdht_models.tensor.cells.program import Step
from fdht_models.tensor.fixedpoint import FixedPoint


class UnitUpdate(wiring.Component):
    """The update of one unit a clock.

    Args:
        own: the plan that it is part of.

    Attributes:
        sums: what arrives.
        unit: what leaves, a fixed number of clocks later.
        context: input, where there are several: whose state is updated. It changes only while no
            unit is on its way.
    """

    def __init__(self, own: EnginePlan) -> None:
        self.own = own
        super().__init__(
            {
                "sums": In(unit_sums(own.cell)),
                "unit": Out(unit_code(own.cell)),
                **context_port(own.cell, In),
                **load_port(own.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, program = Module(), self.own.cell.program
        pipeline = self.own.cell.pipeline
        builder = Values(module, self, pipeline)
        for step in program.steps:
            builder.add(step)
        for state in program.former:
            builder.keep(state)
        hidden, clocks = builder.values[program.states["hidden"]], pipeline.clocks
        module.d.comb += [
            self.unit.hidden.eq(hidden),
            self.unit.valid.eq(delay(module, self.sums.valid, clocks, init=0)),
            self.unit.number.eq(delay(module, self.sums.number, clocks)),
            self.unit.last.eq(delay(module, self.sums.last, clocks)),
        ]
        return module


class Values:
    """Logic of the values of a program, each at its time."""

    def __init__(self, module: Module, update: UnitUpdate, pipeline: UpdatePipeline) -> None:
        self.module, self.own, self.sums = module, update.own, update.sums
        self.pipeline, self.program = pipeline, pipeline.program
        self.times = pipeline.times
        self.bias = bias_of(module, update)
        self._context = update.context if self.own.contexts > 1 else None
        #: Each value at its time, and the same values later.
        self.values: dict[str, Any] = {}
        self._held: dict[str, list[Any]] = {}
        self._memories: dict[str, Memory] = {}

    def add(self, step: Step) -> None:
        """Computes a value from those before it."""
        self.values[step.name] = value = self._value(step)
        self._held[step.name] = [value]

    def keep(self, state: str) -> None:
        """Writes the new value of a state that is read."""
        name = self.program.states[state]
        write, time = self._memories[state].write_port(), self.times[name]
        self.module.d.comb += [
            write.addr.eq(self._place(delay(self.module, self.sums.number, time))),
            write.en.eq(delay(self.module, self.sums.valid, time, init=0)),
            write.data.eq(self.values[name]),
        ]

    def at(self, name: str, time: int) -> Any:
        """A value at a time, in registers until then."""
        held = self._held[name]
        while len(held) <= time - self.times[name]:
            held.append(delay(self.module, held[-1], 1))
        return held[time - self.times[name]]

    def _value(self, step: Step) -> Any:
        module, operation, time = self.module, step.operation, self.times[step.name]
        match operation:
            case Projected(gate):
                return delay(module, self.sums.projected[self._gate(gate)], PARTS)
            case Recurrent(gate):
                recurrent = delay(module, self.sums.recurrent[self._gate(gate)], PARTS - 1)
                return self._unless_zero(recurrent, PARTS, step.name)
            case Bias(gate):
                return self.bias[self._gate(gate)]
            case Former(state):
                return self._former(state, step)
            case Sum():
                return self._sum(step)
            case Lookup(_, table):
                address = self.at(step.operands[0], time - TABLE_CLOCKS)
                return self._looked_up(table, address, step)
        parts = [self.at(name, time - 1) for name in step.operands]
        match operation:
            case Product():
                return registered(module, parts[0] * parts[1], step.name)
            case Complement():
                register = Signal(code_shape(step.format), reset_less=True, name=step.name)
                module.d.sync += register.eq((1 << step.format.fraction) - parts[0])
                return register
            case Round():
                exact = self.program.operands(step)[0].format
                rounded = round_saturate(module, parts[0], exact.fraction, step.format)
                return registered(module, rounded, step.name)
        raise ConversionError("has no hardware", field="operation", value=step.name)

    def _gate(self, gate: str) -> int:
        return self.own.cell.cell.gates.index(gate)

    def _unless_zero(self, value: Any, time: int, name: str) -> Signal:
        """A value, a clock later; 0 in a frame that starts from a zero state."""
        zero = delay(self.module, self.sums.zero, time - 1)
        return registered(self.module, Mux(zero, 0, value), name)

    def _sum(self, step: Step) -> Signal:
        early = self.pipeline.early_parts(step, self.times)
        late = [name for name in step.operands if name not in early]
        time = self.times[step.name]
        parts = [self._aligned(name, step, time - 1) for name in late]
        if early:
            first = max(self.times[name] for name in early)
            base = self._added([self._aligned(name, step, first) for name in early], step)
            parts.insert(0, delay(self.module, base, time - 2 - first))
        return self._added(parts, step)

    def _aligned(self, name: str, step: Step, time: int) -> Any:
        shift = step.format.fraction - self.program[name].format.fraction
        return align(self.at(name, time), shift)

    def _added(self, parts: list[Any], step: Step) -> Signal:
        register = Signal(signed(step.format.width), reset_less=True, name=step.name)
        self.module.d.sync += register.eq(sum(parts[1:], parts[0]))
        return register

    def _former(self, state: str, step: Step) -> Signal:
        """A state before this frame; its memory is written by `keep`."""
        time = self.times[step.name]
        rows = self.own.cell.units
        if self.own.contexts > 1:
            rows = self.own.contexts << len(self.sums.number)
        read = self._memory(state, step.format, rows, []).read_port()
        address = delay(self.module, self.sums.number, time - STATE_CLOCKS)
        self.module.d.comb += read.addr.eq(self._place(address))
        return self._unless_zero(seen_as(code_shape(step.format), read.data), time, step.name)

    def _place(self, number: Any) -> Any:
        """Where a unit's states lie: those of a context side by side."""
        return number if self.own.contexts == 1 else Cat(number, self._context)

    def _looked_up(self, name: str, address: Any, step: Step) -> Any:
        codes = self.own.cell.cell.tables[name].codes
        init = raw(codes, step.format.width)
        read = self._memory(name, step.format, codes.size, init).read_port()
        self.module.d.comb += read.addr.eq(address)
        found = registered(self.module, read.data, step.name)
        return seen_as(code_shape(step.format), found)

    def _memory(self, name: str, form: FixedPoint, depth: int, init: list[int]) -> Memory:
        """The memory of a table or a state; a port for each that reads it."""
        if name not in self._memories:
            made = Memory(shape=unsigned(form.width), depth=max(2, depth), init=init)
            self.module.submodules[name] = self._memories[name] = made
        return self._memories[name]


def bias_of(module: Module, update: UnitUpdate) -> Any:
    """The bias of all gates of a unit, `PARTS` clocks after its sums."""
    own = update.own
    shape = data.ArrayLayout(code_shape(own.cell.bias.format), own.cell.gates)
    load = row_of(update, own.layout, BIAS)
    order = own.cell.order
    rows = packed(own.cell.bias.codes[order], own.cell.bias.format.width)
    found = unit_rows(module, "bias", rows, shape, update.sums.number, order.tolist(), load)
    return shape(delay(module, Value.cast(found), PARTS - 1))

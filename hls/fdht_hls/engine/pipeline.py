"""When each value of a cell's program is there, in a pipeline that takes a unit a clock.

A clock is a register. Values are computed as soon as they can be, and wait in registers for what
needs them; but a former state is read as late as it may be, since its address waits in fewer bits,
and so is what would wait in more bits than what it is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from fdht_models.tensor.cells.operations import Former, Lookup, Source, Sum
from fdht_models.tensor.cells.program import CellProgram, Step

#: Clocks from a unit's sums to the three parts of an argument, and from a state's address to the
#: state: what comes from memory blocks is followed by a register and nothing else.
PARTS = STATE_CLOCKS = 2
#: Clocks from the bits of an argument to what a truth table says of them: the table may become a
#: memory block, whose output comes late, so that a register follows it.
TABLE_CLOCKS = 2


def _taken(step: Step) -> int:
    """Clocks from a value's operands to the value."""
    return TABLE_CLOCKS if isinstance(step.operation, Lookup) else 1


@dataclass(frozen=True)
class UpdatePipeline:
    """The pipeline of a program.

    Args:
        program: what is computed.
    """

    program: CellProgram

    @property
    def clocks(self) -> int:
        """From a unit's sums to its new hidden code."""
        return self.times[self.program.states["hidden"]]

    @cached_property
    def times(self) -> Mapping[str, int]:
        """Clocks from a unit's sums to each value."""
        times: dict[str, int] = {}
        for step in self.program.steps:
            ready = (times[name] for name in step.operands)
            times[step.name] = max(ready) + _taken(step) if step.operands else PARTS
        for step in reversed(self.program.steps):
            if not isinstance(step.operation, Source):
                self._put_off(step, times)
        return times

    def _put_off(self, step: Step, times: dict[str, int]) -> None:
        """Computes a value as late as it is needed, if less has to wait then."""
        now, needed = times[step.name], self._use(step.name, times, min)
        if step.name in self.program.states.values() or needed <= now:
            return
        start, start_late = now - _taken(step), needed - _taken(step)
        more = 0
        for operand in self.program.operands(step):
            # A former state is read later instead; its address is narrow.
            if not isinstance(operand.operation, Former):
                held = self._use(operand.name, times, max)
                more += operand.format.width * max(0, start_late - max(start, held))
        if more < step.format.width * (needed - now):
            times[step.name] = needed

    def _use(self, name: str, times: Mapping[str, int], choose: Callable[..., int]) -> int:
        """The last (`max`) or first (`min`) time at which something takes a value."""
        users = (step for step in self.program.steps if name in step.operands)
        return choose((self._used(name, step, times) for step in users), default=0)

    def _used(self, name: str, step: Step, times: Mapping[str, int]) -> int:
        """When a step takes one of its operands."""
        early = self.early_parts(step, times)
        if name in early:
            return max(times[one] for one in early)
        return times[step.name] - _taken(step)

    @staticmethod
    def early_parts(step: Step, times: Mapping[str, int]) -> tuple[str, ...]:
        """Parts of a sum that are added up before the last ones are there: one register waits."""
        if not isinstance(step.operation, Sum):
            return ()
        last = max(times[name] for name in step.operands)
        early = tuple(name for name in step.operands if times[name] < last)
        return early if len(early) > 1 else ()

"""A graph of adders as logic, with a register behind every two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Const, Module, Signal, Value, signed

from fdht_hls.adders import AdderGraph, Node, Term, clock_of
from fdht_hls.rtl.arithmetic import align, registered


def add_constants(module: Module, graph: AdderGraph, values: Sequence[Any]) -> list[Any]:
    """The outputs of a graph, `graph.clocks` after its inputs.

    Args:
        module: gets the adders.
        graph: what to compute.
        values: the inputs, from registers.
    """
    pipeline = _Pipeline(module, graph, values)
    found = []
    for output in graph.outputs:
        if output.term is None:
            found.append(Const(0, signed(1)))
            continue
        value = pipeline.term(output.term, graph.clocks)
        found.append(-value if output.negative else value)
    return found


class _Pipeline:
    """The nodes of a graph, each in all clocks in which something uses it."""

    def __init__(self, module: Module, graph: AdderGraph, values: Sequence[Any]) -> None:
        self.module, self.nodes = module, graph.nodes
        #: Of each node: its value in the clock in which it is computed, and in those behind.
        self.held: list[list[Any]] = []
        for node in graph.nodes:
            self.held.append([self._value(node, values)])

    def _value(self, node: Node, values: Sequence[Any]) -> Any:
        if node.input is not None:
            return values[node.input]
        assert node.first is not None and node.second is not None
        first, second = (self.term(term, clock_of(node)) for term in (node.first, node.second))
        total = Signal(signed(node.width), name="sum")
        self.module.d.comb += total.eq(first - second if node.subtract else first + second)
        return total

    def term(self, term: Term, clock: int) -> Value:
        """A shifted node in a clock."""
        held = self.held[term.node]
        while len(held) <= clock - clock_of(self.nodes[term.node]):
            held.append(registered(self.module, held[-1], "held"))
        value: Value = align(held[clock - clock_of(self.nodes[term.node])], term.shift)
        return value

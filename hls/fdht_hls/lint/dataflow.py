"""Rules on DATAFLOW regions and on streams outside of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fdht_hls.lint.access import READ, WRITE, Accesses, uses
from fdht_hls.lint.frontend import (
    ADDRESSES,
    LOOPS,
    Node,
    bare,
    declaration_of,
    is_stream,
    operator_of,
    value_of,
)
from fdht_hls.lint.loops import counting_of
from fdht_hls.lint.pragmas import PREFIX
from fdht_hls.lint.program import Call, Flaw, Function, Placed, Program

_CONTROL = {*LOOPS, "IF_STMT", "SWITCH_STMT", "RETURN_STMT", "BREAK_STMT", "CONTINUE_STMT"}
_LITERALS = {"INTEGER_LITERAL", "CXX_BOOL_LITERAL_EXPR", "CHARACTER_LITERAL"}


@dataclass(eq=False)
class Channel:
    """A variable of a region, with the processes that write and read it, by their places."""

    node: Node
    producers: list[int] = field(default_factory=list)
    consumers: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the variable."""
        return str(self.node.cursor.spelling)

    @property
    def edge(self) -> tuple[int, int] | None:
        """From its one writer to its one reader; None if there are none or several of either."""
        single = len(self.producers) == 1 == len(self.consumers)
        return (self.producers[0], self.consumers[0]) if single else None


def check(program: Program) -> Iterator[Flaw]:
    """All rules of this module."""
    accesses = Accesses()
    for function in program.functions.values():
        regions = function.pragmas("DATAFLOW")
        for placed in regions:
            if placed.scope is not None:
                yield from _region(function, placed, accesses)
        yield from _depths(function, [placed.scope for placed in regions])


def _depths(function: Function, regions: list[Node | None]) -> Iterator[Flaw]:
    """Streams of code that runs one line after the other."""
    stated = [
        variable
        for placed in function.pragmas("STREAM")
        if "depth" in placed.pragma.options
        for variable in placed.variables.get("variable", [])
        if variable is not None
    ]
    for node in function.nodes():
        if node.kind != "VAR_DECL" or not is_stream(node.cursor.type):
            continue
        inside = node.parent is not None and node.parent.parent in regions
        value = node.cursor.type.get_canonical().kind.name != "LVALUEREFERENCE"
        if not inside and value and node.cursor not in stated:
            yield Flaw(
                "stream-depth",
                node,
                f"stream {node.cursor.spelling} has the default depth of 2",
                "state #pragma HLS STREAM depth=.. for all that is written before it is read",
            )


def _region(function: Function, placed: Placed, accesses: Accesses) -> Iterator[Flaw]:
    scope = placed.scope
    assert scope is not None
    if scope.parent is not None and scope.parent.kind in LOOPS:
        yield from _loop(function, scope.parent)
    channels: list[Channel] = []
    processes: list[Call] = []
    for statement in _statements(scope):
        if statement.kind == "DECL_STMT":
            for node in statement.children:
                flaws = list(_declaration(node))
                yield from flaws
                if node.kind == "VAR_DECL" and not flaws:
                    channels.append(Channel(node))
            continue
        call = _process(function, statement)
        if call is None:
            yield _form(statement, "it is neither a declaration nor a call", "make it a function")
            continue
        yield from _call(function, call)
        processes.append(call)
    for channel in channels:
        _connect(function, channel, processes, accesses)
        yield from _channel(channel, processes)
    yield from _bypasses(channels, processes)
    yield from _shared(function, channels, processes)


def _form(node: Node, message: str, remedy: str) -> Flaw:
    return Flaw("dataflow-form", node, f"in a DATAFLOW region {message}", remedy)


def _statements(scope: Node) -> Iterator[Node]:
    """Statements of a region; a label belongs to what it labels."""
    for child in scope.children:
        node = child
        while node.kind == "LABEL_STMT" and node.children:
            node = node.children[-1]
        pragma = node.kind == "DECL_STMT" and all(
            below.cursor.spelling.startswith(PREFIX) for below in node.children
        )
        if not pragma and node.kind != "NULL_STMT":
            yield node


def _declaration(node: Node) -> Iterator[Flaw]:
    if node.kind != "VAR_DECL":
        return
    name = node.cursor.spelling
    if node.cursor.storage_class.name == "STATIC" and not is_stream(node.cursor.type):
        yield _form(node, f"the static variable {name} is made local", "keep it in a process")
    values = [
        below
        for below in node.children
        if below.kind not in {"TYPE_REF", "TEMPLATE_REF", "NAMESPACE_REF"}
    ]
    array = node.cursor.type.get_canonical().kind.name == "CONSTANTARRAY"
    if values and not is_stream(node.cursor.type) and not array and not _default_made(values):
        yield _form(node, f"{name} has a first value", "let its producer write it")


def _default_made(values: list[Node]) -> bool:
    """Is it a class's constructor without arguments?"""
    calls = [node for node in values if node.kind == "CALL_EXPR"]
    return len(calls) == 1 and not list(calls[0].cursor.get_arguments())


def _process(function: Function, statement: Node) -> Call | None:
    """The call that a statement is."""
    node = bare(statement)
    return next((call for call in function.calls if call.node is node), None)


def _call(function: Function, call: Call) -> Iterator[Flaw]:
    if call.target is not None and call.target.result_type.get_canonical().kind.name != "VOID":
        yield _form(call.node, f"{call.target.spelling} returns a value", "return it by reference")
    for argument in _arguments(call):
        if not _is_plain(argument):
            yield _form(
                argument,
                f"an expression is passed to {call.node.cursor.spelling}",
                "pass its variables, and compute it within",
            )


def _arguments(call: Call) -> list[Node]:
    cursors = list(call.node.cursor.get_arguments())
    return [child for child in call.node.children if child.cursor in cursors]


def _is_plain(argument: Node) -> bool:
    """Is it a name, a constant or an address of a name?"""
    node = bare(argument)
    if declaration_of(argument) is not None or node.kind in _LITERALS:
        return True
    if operator_of(node) == "&":
        return declaration_of(node.children[0]) is not None
    return value_of(node.cursor) is not None


def _loop(function: Function, loop: Node) -> Iterator[Flaw]:
    """The form of a loop whose turns overlap."""
    counting = counting_of(loop) if loop.kind == "FOR_STMT" else None
    if counting is None:
        yield _form(loop, "the loop does not count", "use a for loop")
        return
    start = loop.children[0]
    if start.kind != "DECL_STMT" or counting.start is None or counting.start < 0:
        yield _form(loop, "the counter does not start in the header, at a constant", "let it")
    kind = counting.counter.type.get_canonical()
    if kind.kind.name not in _INTEGERS:
        yield _form(
            loop,
            f"the counter {counting.counter.spelling} is of the class {kind.spelling}",
            "use an integer of the language, such as unsigned",
        )
    bound = declaration_of(counting.bound_node)
    argument = bound is not None and bound.kind.name == "PARM_DECL"
    if counting.comparison != "<" or (counting.bound is None and not argument):
        yield _form(
            loop, "the loop does not run below a constant or an argument", "write i < bound"
        )
    if counting.step is None or counting.step < 1:
        yield _form(loop, "the step is not a positive constant", "write i++")
    yield from _alone(function, loop)


_INTEGERS = {"INT", "UINT", "SHORT", "USHORT", "LONG", "ULONG", "LONGLONG", "ULONGLONG"}


def _alone(function: Function, loop: Node) -> Iterator[Flaw]:
    """A loop with DATAFLOW is all that its function holds."""
    if function.body is None:
        return
    others = [node for node in _statements(function.body) if node is not loop]
    if others:
        yield _form(
            others[0],
            "of a loop there is a statement beside the loop",
            "give the loop a function of its own",
        )


def _connect(
    function: Function, channel: Channel, processes: list[Call], accesses: Accesses
) -> None:
    """Finds who writes and who reads a channel."""
    for place, call in enumerate(processes):
        found: set[str] = set()
        for use in uses(call.node, channel.node.cursor):
            found |= accesses.at(function, use)
        if WRITE in found:
            channel.producers.append(place)
        if READ in found:
            channel.consumers.append(place)


def _channel(channel: Channel, processes: list[Call]) -> Iterator[Flaw]:
    def flaw(message: str, remedy: str) -> Flaw:
        return Flaw("dataflow-channel", channel.node, f"{channel.name} {message}", remedy)

    producers, consumers = channel.producers, channel.consumers
    writers, readers = _names(processes, producers), _names(processes, consumers)
    if len(producers) > 1:
        yield flaw(f"is written by {writers}", "give each a channel of its own")
    if len(consumers) > 1:
        yield flaw(f"is read by {readers}", "copy it in a process of its own")
    if not producers:
        yield flaw("is written by no process", "leave it out")
    if not consumers:
        yield flaw("is read by no process", "leave it out, or read it")
    if channel.edge is not None and producers == consumers:
        yield flaw(f"leads from {writers} to itself", "keep it within the process")
    elif channel.edge is not None and producers[0] > consumers[0]:
        remedy = "keep what feeds back within one process"
        yield flaw(f"leads back from {writers} to {readers}", remedy)


def _names(processes: list[Call], places: list[int]) -> str:
    return " and ".join(processes[place].node.cursor.spelling for place in places)


def _bypasses(channels: list[Channel], processes: list[Call]) -> Iterator[Flaw]:
    """Channels from a process to one that it also reaches through others."""
    edges = {channel.edge: channel for channel in channels if channel.edge is not None}
    for (start, end), channel in edges.items():
        reached, waiting = set(), [start]
        while waiting:
            here = waiting.pop()
            for first, second in edges:
                if first == here and (first, second) != (start, end) and second not in reached:
                    reached.add(second)
                    waiting.append(second)
        if end in reached:
            ends = f"from {_names(processes, [start])} to {_names(processes, [end])}"
            message = f"{channel.name} leads {ends} past others between them"
            yield Flaw("dataflow-bypass", channel.node, message, "send it through those, too")


def _shared(function: Function, channels: list[Channel], processes: list[Call]) -> Iterator[Flaw]:
    """Arrays and ports from outside of the region that two processes use."""
    inside = [channel.node.cursor for channel in channels]
    users: dict[str, set[int]] = {}
    for place, call in enumerate(processes):
        for argument in _arguments(call):
            outer = declaration_of(argument)
            if outer is None or outer in inside or outer.kind.name != "PARM_DECL":
                continue
            kind = outer.type.get_canonical().kind.name
            if kind in ADDRESSES or is_stream(outer.type):
                users.setdefault(outer.spelling, set()).add(place)
    for name, found in users.items():
        places = sorted(found)
        if len(places) > 1:
            message = f"argument {name} is used by {_names(processes, places)}"
            second = processes[places[1]].node
            yield Flaw("dataflow-channel", second, message, "let one process use it")

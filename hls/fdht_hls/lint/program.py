"""The program that a top function reaches: its functions as trees, their calls and pragmas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from fdht_hls.lint.frontend import LOOPS, Node, errors, parse, value_of
from fdht_hls.lint.pragmas import BLOCK, FUNCTION, LOOP, PREFIX, Pragma, declared_by, lift
from fdht_models.errors import ConversionError
from fdht_models.records import JsonRecord

#: The core of a project that `fdht convert` writes; where its headers lie, and which of them stand
#: for those of Vitis HLS: types of its own, not code to synthesise.
TOP, SOURCE = "fdht_lstm", "firmware/fdht_lstm.cpp"
_INCLUDES, _PRIMITIVES = ("firmware/ap_types", "firmware", "."), "firmware/ap_types"
_OWN_TYPES = ("ap_fixed.h", "ap_int.h", "hls_stream.h")
#: C simulation includes them first and whole; what follows is what a synthesis tool sees.
_WRAPPER = "".join(f'#include "{name}"\n' for name in _OWN_TYPES) + "#define __SYNTHESIS__ 1\n"
#: What findings are about; what each rule demands, why, and where that is written down is in
#: `docs/synthesizability.md`.
RULES = {
    *("compile", "heap", "recursion", "loop-bound", "floating-point", "virtual-call"),
    *("system-call", "pointer", "construct", "stream-reference", "stream-depth"),
    *("pragma-name", "pragma-place", "pragma-variable", "pragma-factor", "partition"),
    *("port", "port-direction", "dataflow-form", "dataflow-channel", "dataflow-bypass"),
}


@dataclass(frozen=True, order=True)
class Finding(JsonRecord):
    """What a synthesis tool would refuse, ignore or build differently.

    Args:
        rule: id of the rule that is broken.
        file: path of the source, relative to the project where it lies within.
        line: line number, from 1.
        message: what is wrong.
        remedy: what to do about it.
    """

    rule: str
    file: str
    line: int
    message: str
    remedy: str

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise ValueError(f"no such rule: {self.rule}")

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}; {self.remedy}"


class Flaw(NamedTuple):
    """What a check finds: a `Finding` whose place is a node, a cursor, a pragma or (file, line)."""

    rule: str
    place: Any
    message: str
    remedy: str


@dataclass(eq=False)
class Placed:
    """A pragma in one instantiation of the code around it.

    Args:
        pragma: as it is written.
        node: the declaration in its place.
        values: option -> number; None if it is not a constant.
        variables: option -> declarations; None for what is no variable.
    """

    pragma: Pragma
    node: Node
    values: dict[str, int | None] = field(default_factory=dict)
    variables: dict[str, list[Any | None]] = field(default_factory=dict)

    @property
    def scope(self) -> Node | None:
        """The braces that it stands in; None if there are none."""
        statement = self.node.parent
        if statement is None or statement.parent is None:
            return None
        return statement.parent if statement.parent.kind == "COMPOUND_STMT" else None

    @property
    def place(self) -> str | None:
        """Of what those braces are the body."""
        if self.scope is None:
            return None
        if self.scope.parent is None or self.scope.parent.kind not in LOOPS:
            function = self.scope.parent is None or self.scope.parent.parent is None
            return FUNCTION if function else BLOCK
        return LOOP

    @property
    def owner(self) -> Node | None:
        """The function or loop whose body it stands in."""
        return self.scope.parent if self.scope is not None else None


@dataclass(eq=False)
class Call:
    """A call: where, and of what; `target` is None for a call through a pointer."""

    node: Node
    target: Any | None
    function: Function | None


@dataclass(eq=False)
class Function:
    """A function that the top function reaches, as one instantiation."""

    cursor: Any
    tree: Node
    placed: list[Placed]
    calls: list[Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Without its name spaces."""
        return str(self.cursor.spelling)

    @cached_property
    def body(self) -> Node | None:
        """Its braces."""
        blocks = [child for child in self.tree.children if child.kind == "COMPOUND_STMT"]
        return blocks[0] if blocks else None

    @cached_property
    def parameters(self) -> list[Any]:
        """Declarations of its parameters."""
        return [child.cursor for child in self.tree.children if child.kind == "PARM_DECL"]

    def pragmas(self, name: str) -> list[Placed]:
        """Its pragmas of a name."""
        return [placed for placed in self.placed if placed.pragma.name == name]

    def nodes(self) -> Iterator[Node]:
        """All below it that the source says, in the order of the text."""
        return source_nodes(self.tree)


def source_nodes(node: Node, leave: Callable[[Node], bool] = lambda node: False) -> Iterator[Node]:
    """A node and all below that the source says, without what stands for pragmas.

    Args:
        node: where to begin.
        leave: of which nodes what is below is left out.
    """
    return node.walk(lambda child: not child.cursor.spelling.startswith(PREFIX), leave)


class Program:
    """What clang makes of a core, which it parses at once; its functions are read when asked for.

    Args:
        project: directory of the core; files below it are the code in question.

    Raises:
        ToolError: libclang or g++ is missing.
    """

    def __init__(self, project: Path) -> None:
        self.project = project.resolve()
        self._primitives = self.project / _PRIMITIVES
        self._kinds: dict[str, str] = {}
        self.pragmas: dict[int, Pragma] = {}
        options = ["-std=c++14", *(f"-I{self.project / path}" for path in _INCLUDES)]
        main = self.project / "fdht_lint.cpp"
        overlay = {main: f'{_WRAPPER}#include "{SOURCE}"\n', **self._lifted()}
        self._unit = parse(main, options, overlay)

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """The top function, first, and all that it reaches.

        Raises:
            ConversionError: there is no top function.
        """
        found = [cursor for cursor in self._declarations if _defines(cursor, TOP)]
        if not found:
            first = next(errors(self._unit), None)
            raise ConversionError(
                f"has no function {TOP}" + (f": {first.spelling}" if first else ""), field=SOURCE
            )
        reached: dict[str, Function] = {}
        self._reach(found[0], reached)
        return reached

    @property
    def top(self) -> Function:
        """The top function."""
        return next(iter(self.functions.values()))

    def _lifted(self) -> Mapping[Path, str]:
        """Sources with their pragmas as declarations."""
        texts = {}
        for path in sorted(self.project.rglob("*")):
            if path.suffix not in {".h", ".cpp"} or self._primitives in path.parents:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            if "pragma" not in text:
                continue
            texts[path], pragmas = lift(path, text, len(self.pragmas))
            self.pragmas |= {pragma.number: pragma for pragma in pragmas}
        return texts

    def is_ours(self, cursor: Any) -> bool:
        """Does it lie in the project, outside of the tool's own types?"""
        file = cursor.location.file
        return file is not None and self._kind(file.name) == "ours"

    def is_primitive(self, cursor: Any) -> bool:
        """Is it part of the tool's own types?"""
        file = cursor.location.file
        return file is not None and self._kind(file.name) == "primitive"

    def _kind(self, file: str) -> str:
        """What a file is part of; asked tens of thousands of times."""
        if file not in self._kinds:
            parents = Path(file).parents
            ours = "ours" if self.project in parents else "system"
            self._kinds[file] = "primitive" if self._primitives in parents else ours
        return self._kinds[file]

    @cached_property
    def _declarations(self) -> list[Any]:
        """Everything that is declared outside of functions, in files of the project."""
        declared = []
        waiting = [self._unit.cursor]
        while waiting:
            for cursor in waiting.pop().get_children():
                if not self.is_ours(cursor):
                    continue
                declared.append(cursor)
                if cursor.kind.name in _HOLDERS:
                    waiting.append(cursor)
        return declared

    def misplaced(self) -> Iterator[Pragma]:
        """Pragmas outside of functions."""
        for cursor in self._declarations:
            place = declared_by(cursor.spelling)
            if place is not None and place[1] == "place":
                yield self.pragmas[place[0]]

    def _reach(self, cursor: Any, reached: dict[str, Function]) -> Function:
        """Reads a function and all that it calls."""
        key = _key(cursor)
        if key in reached:
            return reached[key]
        tree = Node.tree(cursor)
        function = Function(cursor, tree, list(self._placed(tree)))
        reached[key] = function
        for node in source_nodes(tree):
            if node.kind == "CALL_EXPR" and node.cursor.referenced is not None:
                target = node.cursor.referenced
                body = target.get_definition()
                ours = body is not None and self.is_ours(body) and body.kind.name in _CALLABLE
                function.calls.append(
                    Call(node, target, self._reach(body, reached) if ours else None)
                )
        return function

    def _placed(self, tree: Node) -> Iterator[Placed]:
        """The pragmas of a function."""
        current: Placed | None = None
        for node in tree.walk():
            place = declared_by(node.cursor.spelling) if node.kind == "VAR_DECL" else None
            if place is None:
                continue
            number, option, position = place
            if option == "place":
                current = Placed(self.pragmas[number], node)
                yield current
            elif current is not None and current.pragma.number == number:
                grammar = current.pragma.grammar
                if grammar is not None and option in grammar.variables:
                    named = current.variables.setdefault(option, [])
                    named += [None] * (position + 1 - len(named))
                    named[position] = _named(node)
                else:
                    current.values[option] = value_of(node.cursor)

    def broken(self) -> Iterator[tuple[str, int, str]]:
        """File, line and message of what clang refuses, outside of code that is not reached."""
        reached = [
            (extent.start.file.name, extent.start.line, extent.end.line)
            for extent in (function.cursor.extent for function in self.functions.values())
            if extent.start.file is not None
        ]
        lifted = {(str(pragma.file), pragma.line) for pragma in self.pragmas.values()}
        for error in errors(self._unit):
            place = (error.location.file.name if error.location.file else "", error.location.line)
            within = any(
                place[0] == file and start <= place[1] <= end for file, start, end in reached
            )
            if within or place not in lifted:
                yield *place, error.spelling

    def finding(self, flaw: Flaw) -> Finding:
        """A flaw with its place as findings show it."""
        place, message = flaw.place, flaw.message
        if isinstance(place, Pragma):
            message = f"#pragma HLS {place.name}: {message}"
            place = str(place.file), place.line
        if not isinstance(place, tuple):
            location = (place.cursor if isinstance(place, Node) else place).location
            place = location.file.name if location.file else "", location.line
        path = Path(place[0])
        shown = str(path.relative_to(self.project)) if self.project in path.parents else place[0]
        return Finding(flaw.rule, shown, place[1], message, flaw.remedy)


_HOLDERS = {
    *("NAMESPACE", "LINKAGE_SPEC", "UNEXPOSED_DECL", "STRUCT_DECL", "CLASS_DECL"),
    *("CLASS_TEMPLATE", "CLASS_TEMPLATE_PARTIAL_SPECIALIZATION"),
}
_CALLABLE = {"FUNCTION_DECL", "CXX_METHOD", "CONSTRUCTOR", "CONVERSION_FUNCTION", "DESTRUCTOR"}


def _defines(cursor: Any, name: str) -> bool:
    return (
        cursor.kind.name == "FUNCTION_DECL" and cursor.spelling == name and cursor.is_definition()
    )


def _key(cursor: Any) -> str:
    """Tells instantiations apart."""
    location = cursor.location
    place = f"{location.file}:{location.offset}"
    return f"{cursor.get_usr()} {place} {cursor.type.get_canonical().spelling}"


def _named(declaration: Node) -> Any | None:
    """The variable in `sizeof(variable)`."""
    for node in declaration.walk():
        if node.kind in {"DECL_REF_EXPR", "MEMBER_REF_EXPR"}:
            return node.cursor.referenced
    return None

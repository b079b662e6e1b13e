"""Clang as a library: its header files, a translation unit, and what a cursor is worth.

Cursors of called functions are those of template *instantiations*: their types are complete and
their constants have values, which a template's own text does not give.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from fdht_hls.csimulation import compiler
from fdht_models.errors import ToolError
from fdht_models.process import run_tool

#: Seconds that g++ may take to tell its paths.
_TIMEOUT = 60
#: `CXEvalResultKind` of an integer.
_INTEGER = 1
#: `CXDiagnosticSeverity` of an error.
_ERROR = 3


@cache
def clang() -> Any:
    """The module `clang.cindex` with its library loaded.

    Raises:
        ToolError: libclang is not installed, or not of the version that its module is for.
    """
    remedy = "pip install 'fdht[hls]'"
    try:
        from clang import cindex
    except ImportError as error:
        raise ToolError("is not installed", field="libclang", remedy=remedy) from error
    try:
        library = cindex.conf.lib
        library.clang_Cursor_Evaluate.argtypes = [cindex.Cursor]
        library.clang_Cursor_Evaluate.restype = ctypes.c_void_p
        for name, result in (
            ("getKind", ctypes.c_int),
            ("getAsLongLong", ctypes.c_longlong),
            ("dispose", None),
        ):
            function = getattr(library, f"clang_EvalResult_{name}")
            function.argtypes, function.restype = [ctypes.c_void_p], result
        for name in ("Binary", "Unary"):
            function = getattr(library, f"clang_getCursor{name}OperatorKind")
            function.argtypes, function.restype = [cindex.Cursor], ctypes.c_int
    except (cindex.LibclangError, OSError, AttributeError) as error:
        raise ToolError(f"cannot be used ({error})", field="libclang", remedy=remedy) from error
    return cindex


@cache
def system_includes() -> tuple[str, ...]:
    """Directories of the standard headers, as g++ tells them.

    Raises:
        ToolError: g++ is missing or does not tell.
    """
    # Its standard input is empty.
    command = [compiler(), "-E", "-x", "c++", "-", "-v"]
    _, said = run_tool("g++", command, Path(), _TIMEOUT, remedy="free the machine")
    lines = [line.strip() for line in said.splitlines()]
    with contextlib.suppress(ValueError):
        start = lines.index("#include <...> search starts here:")
        return tuple(lines[start + 1 : lines.index("End of search list.")])
    raise ToolError("does not tell its header files", field="g++", value=" ".join(command))


def parse(main: Path, options: Sequence[str], overlay: Mapping[Path, str]) -> Any:
    """A translation unit.

    Args:
        main: source file, which may exist in the overlay only.
        options: of clang.
        overlay: texts that replace files.

    Raises:
        ToolError: libclang or g++ is missing, or clang gives up.
    """
    cindex = clang()
    arguments = [*options, "-nostdinc", "-ferror-limit=0"]
    for path in system_includes():
        arguments += ["-isystem", path]
    try:
        return cindex.Index.create().parse(
            str(main),
            args=arguments,
            unsaved_files=[(str(path), text) for path, text in overlay.items()],
        )
    except cindex.TranslationUnitLoadError as error:
        raise ToolError("cannot be parsed", field="libclang", value=str(main)) from error


def errors(unit: Any) -> Iterator[Any]:
    """Diagnostics that would end a compilation."""
    return (diagnostic for diagnostic in unit.diagnostics if diagnostic.severity >= _ERROR)


def value_of(cursor: Any) -> int | None:
    """The value of a constant integer expression or variable, if it is one."""
    library = clang().conf.lib
    result = library.clang_Cursor_Evaluate(cursor)
    if not result:
        return None
    try:
        if library.clang_EvalResult_getKind(result) != _INTEGER:
            return None
        return int(library.clang_EvalResult_getAsLongLong(result))
    finally:
        library.clang_EvalResult_dispose(result)


_BINARY = (
    *("", ".*", "->*", "*", "/", "%", "+", "-", "<<", ">>", "<=>", "<", ">", "<=", ">=", "=="),
    *("!=", "&", "^", "|", "&&", "||", "=", "*=", "/=", "%=", "+=", "-=", "<<=", ">>=", "&="),
    *("^=", "|=", ","),
)
_UNARY = ("", "p++", "p--", "++p", "--p", "&", "*", "+", "-", "~", "!")


@dataclass(eq=False)
class Node:
    """A cursor with its parent and children, so that a walk can look up as well as down."""

    cursor: Any
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    @classmethod
    def tree(cls, cursor: Any, parent: Node | None = None) -> Node:
        """The tree below a cursor, without branches that a constant condition rules out."""
        node = cls(cursor, parent)
        node.children = [cls.tree(child, node) for child in _live(cursor)]
        return node

    @cached_property
    def kind(self) -> str:
        """The name of its `CursorKind`."""
        return str(self.cursor.kind.name)

    @property
    def line(self) -> int:
        """From 1."""
        return int(self.cursor.location.line)

    def walk(
        self,
        enter: Callable[[Node], bool] = lambda child: True,
        leave: Callable[[Node], bool] = lambda node: False,
    ) -> Iterator[Node]:
        """This node and all below, in the order of the text.

        Args:
            enter: which of those below are walked, with what is below them.
            leave: of which nodes what is below is left out.
        """
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            if not leave(node):
                waiting += filter(enter, reversed(node.children))

    def ancestors(self) -> Iterator[Node]:
        """Its parent, its parent's parent, and so on."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


def operator_of(node: Node) -> str:
    """The operator of an expression: "<", "+=", "p++" (suffix), "++p" (prefix), "&" or ""."""
    kind, cursor, library = node.kind, node.cursor, clang().conf.lib
    if kind in {"BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR"}:
        return _BINARY[library.clang_getCursorBinaryOperatorKind(cursor)]
    if kind == "UNARY_OPERATOR":
        number = library.clang_getCursorUnaryOperatorKind(cursor)
        return _UNARY[number] if number < len(_UNARY) else ""
    if kind == "CALL_EXPR" and cursor.spelling.startswith("operator"):
        name = str(cursor.spelling.removeprefix("operator"))
        if name in {"++", "--"}:
            return f"p{name}" if len(list(cursor.get_arguments())) > 1 else f"{name}p"
        return name if name in _BINARY else ""
    return ""


def _live(cursor: Any) -> list[Any]:
    """The children of a cursor; of an `if` on a constant the branch that is taken."""
    children = list(cursor.get_children())
    if cursor.kind.name != "IF_STMT" or not children[0].kind.is_expression():
        return children
    condition = value_of(children[0])
    if condition is None:
        return children
    return [children[0], *(children[1:2] if condition else children[2:3])]


#: Expressions that stand for the one below them.
_WRAPPERS = {"UNEXPOSED_EXPR", "PAREN_EXPR"}
LOOPS = {"FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT"}


def bare(node: Node) -> Node:
    """The expression without parentheses and conversions around it."""
    while len(node.children) == 1 and (
        node.kind in _WRAPPERS or (node.kind == "CALL_EXPR" and not _called(node))
    ):
        node = node.children[0]
    return node


def _called(node: Node) -> bool:
    """Does a call expression call something, other than a conversion?"""
    referenced = node.cursor.referenced
    return referenced is not None and referenced.kind.name != "CONVERSION_FUNCTION"


def declaration_of(node: Node) -> Any | None:
    """The variable that an expression names, without parentheses and conversions."""
    node = bare(node)
    referenced = node.cursor.referenced
    if referenced is not None and referenced.kind.name == "CONVERSION_FUNCTION" and node.children:
        node = bare(node.children[0])
    return node.cursor.referenced if node.kind == "DECL_REF_EXPR" else None


def names(node: Node, declaration: Any) -> bool:
    """Does an expression name a certain variable?"""
    named = declaration_of(node)
    return named is not None and bool(named == declaration)


def canonical(kind: Any) -> str:
    """The spelling of a type without references, names of its own and `const`."""
    spelling = str(kind.get_canonical().spelling)
    return spelling.removesuffix("&").strip().removeprefix("const ").strip()


#: Kinds of types whose values are addresses.
ADDRESSES = {"POINTER", "CONSTANTARRAY", "INCOMPLETEARRAY"}


def is_stream(kind: Any) -> bool:
    """Is it a stream, or a reference to one?"""
    return canonical(kind).startswith("hls::stream<")

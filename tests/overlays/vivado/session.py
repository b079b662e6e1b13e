"""A real Tcl interpreter whose unknown commands are the stand-in's.

Python's own `tkinter.Tcl` where Python has it, else the program `tclsh`; both run the same prelude.
Commands that the interpreter does not know are handed to Python: over a pipe, a line a command, its
words in hexadecimal.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.overlays.vivado.table import TABLE, RefusalError

_WORDS = """
proc ::standin::words {command args} {
    set packed {}
    foreach word [linsert $args 0 $command] {
        lappend packed x[binary encode hex [encoding convertto utf-8 $word]]
    }
    lassign [::standin::bridge [join $packed]] code value
    set value [encoding convertfrom utf-8 [binary decode hex $value]]
    if {$code eq "error"} { return -code error $value }
    return $value
}
rename puts ::standin::puts
proc puts args {
    if {[lindex $args 0] eq "-nonewline"} { set args [lrange $args 1 end] }
    if {[llength $args] == 2 && [lindex $args 0] ni {stdout stderr}} {
        return [::standin::puts {*}$args]
    }
    ::standin::words puts [lindex $args end]
}
catch { rename exit ::standin::exit }
proc exit {{code 0}} { ::standin::words exit $code }
proc unknown {command args} { ::standin::words $command {*}$args }
"""
_PIPE = """
namespace eval ::standin {
    proc bridge {packed} {
        chan puts stdout $packed
        chan flush stdout
        return [chan gets stdin]
    }
}
fconfigure stdout -translation lf
fconfigure stdin -translation lf
"""

BACKENDS = [
    name
    for name, there in (
        ("tkinter", importlib.util.find_spec("_tkinter") is not None),
        ("tclsh", shutil.which("tclsh") is not None),
    )
    if there
]
Command = Callable[[str, list[str]], str]


class ExitedError(Exception):
    """The script called `exit`."""


class Session:
    """One run of a script.

    Args:
        command: does a command of the stand-in.
        backend: one of BACKENDS; by default the first.
    """

    def __init__(self, command: Command, backend: str | None = None) -> None:
        self._command = command
        self._backend = backend or BACKENDS[0]
        self.output: list[str] = []
        self.exit_code: int | None = None

    def source(self, script: Path) -> int:
        """Runs a script; returns the exit code that Vivado in batch mode would have."""
        text = f"source {{{script}}}"
        error = (self._tkinter if self._backend == "tkinter" else self._tclsh)(text)
        if self.exit_code is not None:
            return self.exit_code
        if error is not None:
            self.output.append(f"ERROR: {error}")
            return 1
        return 0

    def _bridge(self, packed: str) -> str:
        words = [bytes.fromhex(word[1:]).decode() for word in packed.split()]
        try:
            value = self._do(words[0], words[1:])
        except RefusalError as refusal:
            return "error " + str(refusal).encode().hex()
        return "ok " + (value.encode().hex() or "{}")

    def _do(self, command: str, words: list[str]) -> str:
        if self.exit_code is not None:
            raise RefusalError("the script has ended")
        if command == "puts":
            self.output += words[-1].split("\n")
            return ""
        if command == "exit":
            self.exit_code = int(words[0])
            raise RefusalError("the script has ended")
        return self._command(command, words)

    def _tkinter(self, text: str) -> str | None:
        import tkinter

        tcl = tkinter.Tcl()
        tcl.eval("namespace eval ::standin {}")
        tcl.createcommand("::standin::bridge", self._bridge)
        tcl.eval(_WORDS)
        _declare(tcl.eval)
        try:
            tcl.eval(text)
        except tkinter.TclError as error:
            return str(error)
        return None

    def _tclsh(self, text: str) -> str | None:
        lines: list[str] = [_PIPE, _WORDS]
        _declare(lines.append)
        # The last line on the pipe is how it ended.
        lines.append(
            f"set code [catch {{{text}}} message]\n"
            'chan puts stdout "end $code [binary encode hex [encoding convertto utf-8 $message]]"'
        )
        with subprocess.Popen(
            ["tclsh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(_as_argument("\n".join(lines)))
            process.stdin.flush()
            for line in process.stdout:
                if line.startswith("end "):
                    _, code, message = ([*line.split(), ""])[:3]
                    process.stdin.close()
                    return bytes.fromhex(message).decode() if code != "0" else None
                process.stdin.write(self._bridge(line) + "\n")
                process.stdin.flush()
        raise AssertionError("tclsh ended by itself")


def _declare(evaluate: Callable[[str], object]) -> None:
    """`ipx::` commands are looked for in a namespace, which must be there."""
    evaluate("namespace eval ipx {}")
    for name in TABLE:
        if name.startswith("ipx::"):
            evaluate(f"proc ::{name} args {{ ::standin::words {name} {{*}}$args }}")


def _as_argument(script: str) -> str:
    """A script as one command: tclsh reads its input line by line."""
    packed = script.encode().hex()
    return f"eval [encoding convertfrom utf-8 [binary decode hex {packed}]]\n"

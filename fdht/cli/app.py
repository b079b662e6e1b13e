"""The command line `fdht`: its commands, exit codes, and one line for a mistake.

A command's module is imported when the command is called, and not for the list of commands.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from fdht_models.errors import ConfigError, FdhtError, shortened
from fdht_models.interruption import termination_as_interrupt

#: Exit codes: a mistake that the user can mend, and an interruption.
USER_ERROR, INTERRUPTED = 2, 130
#: The largest number that can be asked for.
_MOST = 2**31 - 1
#: In the order of the work: a panel's name -> its commands -> where each is, and what it does.
PANELS = {
    "Prepare": {
        "doctor": ("prepare:doctor", "What is installed, and what each flow lacks"),
        "zoo": ("prepare:zoo", "The experiments that ship, and their figures"),
        "data": ("data:data", "What a folder of clips holds, and what it lacks"),
    },
    "Train": {
        "train": ("train:train", "Train, quantise, evaluate and export"),
        "search": ("train:search", "Search ranks and widths"),
        "decompose": ("train:decompose", "Put a trained dense LSTM or GRU into a format"),
    },
    "Convert": {
        "tune": ("tune:tune", "Choose the parallelism of each stage for a board"),
        "convert": ("convert:convert", "Convert to HLS C++, simulate and prove equality"),
        "lint": ("hardware:lint", "Look for what Vitis HLS would refuse or ignore"),
    },
    "Build": {
        "synthesize": ("hardware:synthesize", "Run Vitis HLS and read its reports"),
        "build": ("build:build", "Build an overlay, or estimate what fits a board"),
    },
    "Run": {
        "deploy": ("deploy:deploy", "Install an overlay on a board over SSH, and test it"),
        "run": ("run:run", "Send clips through a board, classify and measure"),
        "self-test": ("deploy:self_test", "Identity, golden vectors and energy of an overlay"),
        "demo": ("demo:demo", "All of it once, on the default experiment"),
    },
    "Measure": {
        "energy": ("energy:energy", "Energy per frame, with an interval of 95 %"),
        "align": ("align:align", "Energy per frame of a run from an outside meter's log"),
        "cosim": ("hardware:cosim", "Simulate the core's Verilog clock by clock"),
        "resources": ("hardware:resources", "Count what the core takes of a device"),
        "bench": ("bench:bench", "Speed, size and accuracy, side by side with others"),
    },
    "Look": {
        "show": ("show:show", "The plan of what will be built, stage by stage"),
    },
}
_PLACES = {name: place for panel in PANELS.values() for name, (place, _) in panel.items()}
#: Packages whose versions tell most about how a result came about.
_LIBRARIES = ("numpy", "tensorflow", "qkeras", "hls4ml", "amaranth", "pynq", "av")


class _Commands(typer.core.TyperGroup):
    """The commands, which are known by name and loaded when they are called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """See click; the command that is listed gives way to the one that works."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and _load(str(name)), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """See click; in sections, in the order of the work."""
        for title, commands in PANELS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Rich, with Markdown and Pygments, takes longer to import than all else of the list.
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
    help="Train quantised tensor LSTMs, convert them to hardware, run them and measure.",
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; a user's mistake is one line on standard error and exit code 2."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with termination_as_interrupt():
            stopped = app(arguments, prog_name="fdht", standalone_mode=False)
    except FdhtError as error:
        print(f"fdht: {error}", file=sys.stderr)
        return USER_ERROR
    except (KeyboardInterrupt, typer.Abort):
        stopped = INTERRUPTED
    except Exception as error:
        # A usage error of the command line (click's own family) knows how to say itself.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        if message().startswith("Usage:"):  # without a command it says which there are
            print(message())
        elif message():
            command = getattr(getattr(error, "ctx", None), "command_path", "fdht")
            said = shortened(message().rstrip(". "), 380)  # click ends its sentences
            print(f"fdht: {said}; see {command} --help", file=sys.stderr)
        return USER_ERROR
    if stopped == INTERRUPTED:
        print("fdht: interrupted; what is finished is kept", file=sys.stderr)
    return int(stopped or 0)


def _print_versions(wanted: bool) -> None:
    if not wanted:
        return
    import platform

    from fdht_models import __version__
    from fdht_models.versions import package_versions

    print(f"fdht {__version__}")
    print(f"Python {platform.python_version()} on {platform.machine()}")
    for name, version in package_versions(*_LIBRARIES).items():
        print(f"{name} {version}")
    raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_versions, is_eager=True, help="Print versions and exit."
        ),
    ] = False,
) -> None:
    pass


def _listed() -> None:
    """Stands for a command in the list of commands."""


for _commands in PANELS.values():
    for _name, (_, _help) in _commands.items():
        app.command(_name, help=_help)(_listed)


@functools.cache
def _load(name: str) -> Any:
    """A command with all of its options."""
    module, _, attribute = _PLACES[name].partition(":")
    found = getattr(importlib.import_module(f"fdht.cli.{module}"), attribute)
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command(name)(function)
    for command in found.registered_commands:
        assert command.callback is not None
        command.callback = _bounded(command.callback)
    return typer.main.get_command(found)


def _bounded(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose numbers all have bounds, before it does anything.

    Without them a typing error asks for all memory or for ever: `--seed 1000000000000`, or
    `--timeout nan`, which is neither below nor above any limit.
    """

    @functools.wraps(command)
    def checked(**options: Any) -> Any:
        for name, value in options.items():
            field = f"--{name.replace('_', '-')}"
            if isinstance(value, int) and abs(value) > _MOST:
                raise ConfigError(f"must be at most {_MOST}", field=field, value=value)
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError("must be a finite number", field=field, value=value)
        return command(**options)

    return checked

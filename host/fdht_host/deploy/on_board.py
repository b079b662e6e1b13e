"""The steps on the board, one connection for all: unpack, install, test, switch.

Everything is made in a directory beside those that are in use; only after the self-test has passed
does the link `current` lead there, by one rename. What was interrupted or failed is ended and
removed, and the former installation goes on. pip installs into a directory of its own
(`--target`), not into a virtual environment: one that is made from the image's own environment
would not see its pynq.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdht_hls.flow.ssh import Ended, Host, connected, run_command
from fdht_models.console import Show
from fdht_models.errors import ToolError

if TYPE_CHECKING:
    import asyncssh

#: Where PYNQ's images have their Python; then the one that the shell finds.
PYTHONS = ("/usr/local/share/pynq-venv/bin/python3", "python3")
#: Names in a release: the launcher, and the directories.
LAUNCHER, OVERLAY_THERE, WHEELS, NOTEBOOKS = "fdht", "overlay", "wheels", "notebooks"
_LIBRARY = "lib"
#: Seconds between a polite request to end and the end.
_GRACE = 5
_NOT_FOUND = 127


@dataclass(frozen=True)
class Place:
    """Where a board gets its release.

    Args:
        host: the board.
        root: absolute path of the directory that holds all releases.
        release: name of this one.
        python: the image's Python.
        sudo: commands that touch the logic are run by `sudo -n`.
        notebooks: directory of the Jupyter server there, which gets a link; None: there is none.
        seconds: that each step may take.
    """

    host: Host
    root: str
    release: str
    python: str
    sudo: bool
    notebooks: str | None
    seconds: float

    @property
    def new(self) -> str:
        """Its directory until it has been tested."""
        return f"{self.root}/releases/.new-{self.release}"

    @property
    def current(self) -> str:
        """The link to the release in use."""
        return f"{self.root}/current"


async def ask(host: Host, python: str | None, script: str, place: str, seconds: float) -> Ended:
    """Runs the probe by the image's Python; its first line is which one that is."""
    candidates = PYTHONS if python is None else (python,)
    tried = " ".join(map(shlex.quote, candidates))
    command = (
        f"for one in {tried}; do if command -v $one >/dev/null; then "
        f'echo "$one"; exec "$one" - {shlex.quote(place)}; fi; done; exit {_NOT_FOUND}'
    )
    async with connected(host) as connection:
        done = await run_command(connection, command, script.encode(), seconds)
    if done.code:
        raise ToolError(
            "has no Python" if done.code == _NOT_FOUND else f"failed: {done.problem}",
            field=host.name if done.code == _NOT_FOUND else f"Python of {host.name}",
            value=None if python is None else python,
            remedy="name that of its image with --python",
        )
    return done


async def install(place: Place, archive: bytes, energy: bool, show: Show) -> bytes:
    """Installs a release, tests it and puts it in use.

    Args:
        place: where.
        archive: .tar.gz of the release; wheels in `WHEELS`.
        energy: measure it in the self-test.
        show: told which step is under way.

    Returns:
        What the self-test wrote, JSON.

    Raises:
        ToolError: a step failed or took too long. What was there before is in use still.
    """
    new, quiet = shlex.quote(place.new), "--quiet --disable-pip-version-check --no-input"
    only = "--no-deps --no-index --no-warn-conflicts"
    python = shlex.quote(place.python)
    async with connected(place.host) as connection, _removed_unless_done(connection, place):
        show("copies", 1, 4)
        old = f"find {shlex.quote(place.root)}/releases -maxdepth 1 -name '.new-*' -mmin +1440"
        unpack = f"mkdir -p {new} && {old} -exec rm -rf {{}} + && tar -xzf - -C {new}"
        await _step(connection, place, "copying", unpack, data=archive)
        show("installs", 2, 4)
        pip = f"{python} -m pip install {quiet} {only} --target {_LIBRARY} {WHEELS}/*.whl"
        settings = f"cd {new} && export PIP_CONFIG_FILE=/dev/null"
        installed = f"{settings} && {{ {_limited(place, pip)}; }} && rm -rf {WHEELS}"
        await _step(connection, place, "installing", installed)
        show("self-test", 3, 4)
        options = "--json" if energy else "--json --no-energy"
        test = f"bash {new}/{LAUNCHER} self-test {new}/{OVERLAY_THERE} {options}"
        tested = await _step(connection, place, "self-test", _limited(place, test, place.sudo))
        show("puts it in use", 4, 4)
        await _step(connection, place, "putting it in use", _switch(place))
    return tested.output


@asynccontextmanager
async def _removed_unless_done(
    connection: asyncssh.SSHClientConnection, place: Place
) -> AsyncIterator[None]:
    """Ends what runs there and removes what was made, where the block does not end well."""
    try:
        yield
    except BaseException:
        # Also where the user interrupts: nothing half-installed stays, and nothing runs on.
        with suppress(Exception):
            await asyncio.shield(run_command(connection, _undo(place), seconds=30.0))
        raise


def _undo(place: Place) -> str:
    new, sudo = shlex.quote(place.new), "sudo -n " if place.sudo else ""
    end = f"if test -f {new}/pid; then {sudo}kill -TERM $(cat {new}/pid); sleep 0.2; fi"
    return f"{end} 2>/dev/null; rm -rf {new} {shlex.quote(place.root)}/.current-{place.release}"


def _limited(place: Place, command: str, sudo: bool = False) -> str:
    """A command that is ended there after its time, also where nobody is connected any more."""
    own, new = "sudo -n " if sudo else "", shlex.quote(place.new)
    text = 'echo $$ > "$0"/pid; exec "$@"'
    limit = f"timeout -k {_GRACE} {place.seconds:g}"
    # Its number is taken away with it: another process may get the same one.
    end = f"code=$?; rm -f {new}/pid; test $code = 0 || exit $code"
    return f"{own}sh -c {shlex.quote(text)} {new} {limit} {command}; {end}"


def _switch(place: Place) -> str:
    """One rename puts a release in use; of the others, the one before is kept."""
    root, name = shlex.quote(place.root), shlex.quote(place.release)
    link = "true"
    if place.notebooks is not None:
        shown = shlex.quote(place.notebooks)
        link = f"if test -w {shown}; then ln -sfn {root}/current/{NOTEBOOKS} {shown}/fdht; fi"
    return (
        f"cd {root} && former=$(readlink current || true) && "
        f"mv releases/.new-{name} releases/{name} && "
        f"ln -s releases/{name} .current-{name} && mv -T .current-{name} current && {link} && "
        f'for one in releases/*; do case $one in releases/{name}|"$former") ;; '
        '*) rm -rf "$one" ;; esac; done'
    )


async def _step(
    connection: asyncssh.SSHClientConnection,
    place: Place,
    name: str,
    command: str,
    data: bytes = b"",
) -> Ended:
    failed = f"{name} on {place.host.name}"
    try:
        done = await run_command(connection, command, data, place.seconds + 2 * _GRACE)
    except asyncio.TimeoutError as error:
        raise _too_slow(failed, place) from error
    if done.code in (124, 137):  # of `timeout`
        raise _too_slow(failed, place)
    if done.code:
        problem, remedy = done.problem.removeprefix("fdht: "), None
        if "No space left" in done.errors.decode(errors="replace"):
            problem, remedy = "there is no space left", "free some, or name another --place"
        elif problem.startswith("sudo:"):
            remedy = "deploy as root@.., or let this user call sudo without a password"
        raise ToolError(f"failed: {problem}", field=failed, remedy=remedy)
    return done


def _too_slow(field: str, place: Place) -> ToolError:
    return ToolError(
        f"did not finish within {place.seconds:g} s", field=field, remedy="raise --timeout"
    )

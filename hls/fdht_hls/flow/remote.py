"""Runs a plan on another machine over SSH: unpack, run build.sh, bring the results back.

The other machine needs the tools and a POSIX shell, nothing of ours. The directory there keeps
finished steps under the plan's digest, so that a broken connection costs no work.
"""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from fdht_hls.flow.archive import archive_bytes, import_results
from fdht_hls.flow.build_plan import RESULTS, BuildPlan
from fdht_hls.flow.failure import decisive_line
from fdht_hls.flow.running import Phases
from fdht_hls.flow.ssh import COMMAND_SECONDS, Host, connected, over_ssh, run_command
from fdht_models.arguments import seconds
from fdht_models.artifacts import write_bytes
from fdht_models.console import Show, silent
from fdht_models.errors import ToolError

if TYPE_CHECKING:
    import asyncssh

#: Directory below the user's home on the other machine.
_HOME = "fdht-build"
_MARK = "FDHT: step "


def run_remotely(
    plan: BuildPlan,
    directory: Path,
    host: Host,
    show: Show | None = None,
    timeout: float | None = None,
) -> None:
    """Runs a plan on another machine and imports its results.

    Args:
        plan: the plan.
        directory: of the plan on this machine.
        host: the other machine.
        show: is told how far each step is.
        timeout: seconds for the whole; by default what all steps may take.

    Raises:
        ConfigError: the time-out is no time.
        ToolError: asyncssh or a program is missing, the machine cannot be reached, a step failed,
            or it did not end in time; what was running there is ended.
        ArtifactError, EqualityError: as `import_results`.
    """
    if timeout is None:
        timeout = sum(step.timeout for step in plan.steps)
    limit = seconds(timeout, "timeout")
    again = "the same command goes on where it stopped"
    results = over_ssh(host, lambda: _run(plan, host, show or silent, limit), again)
    archive = directory / RESULTS
    try:
        write_bytes(archive, results)
        import_results(plan, archive, directory)
    except BaseException:
        archive.unlink(missing_ok=True)  # the other machine keeps them, and nobody reads them here
        raise


async def _run(plan: BuildPlan, host: Host, show: Show, limit: float) -> bytes:
    async with connected(host) as connection:
        place = f"{_HOME}/{plan.name}-{plan.digest[:12]}"
        quoted = shlex.quote(place)
        await _command(
            connection,
            f"mkdir -p {quoted} && tar -xzf - -C {quoted} --strip-components=1",
            archive_bytes(plan),
        )
        try:
            await asyncio.wait_for(_build(connection, plan, quoted, show, host), limit)
        except BaseException as error:
            # Also where the user interrupts: a tool must not go on without anybody waiting for it.
            await asyncio.shield(_stop(connection, quoted))
            if isinstance(error, asyncio.TimeoutError):
                raise ToolError(
                    f"did not finish within {limit:g} s", field=host.name, remedy="raise --timeout"
                ) from error
            raise
        return await _command(connection, f"cat {quoted}/{RESULTS}")


async def _build(
    connection: asyncssh.SSHClientConnection, plan: BuildPlan, place: str, show: Show, host: Host
) -> None:
    """Runs build.sh in a process group of its own and follows what it prints."""
    command = f"cd {place} && exec setsid sh build.sh 2>&1"
    async with connection.create_process(command, encoding=None) as process:
        phases: Phases | None = None
        said: list[str] = []
        async for raw in process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            said.append(line)
            if line.startswith(_MARK):
                if phases is not None:
                    phases.end()
                phases = Phases(plan.step(line.removeprefix(_MARK)), show)
            if phases is not None:
                phases.line(line)
        await process.wait()
        if process.exit_status:
            text = "\n".join(said)
            line = next((one for one in reversed(said) if one.startswith("ERROR: [FDHT]")), None)
            problem = (line or decisive_line(text) or f"exit code {process.exit_status}").strip()
            raise ToolError(
                f"failed: {problem.removeprefix('ERROR: [FDHT] ')}",
                field=f"build on {host.name}",
                remedy=f"its logs are in {place}/logs there",
            )


async def _stop(connection: asyncssh.SSHClientConnection, place: str) -> None:
    # Their numbers are in files: the step, which leads a process group of its own, and build.sh.
    command = (
        f"cd {place} && {{ test ! -f step.pid || kill -TERM $(cat step.pid); "
        "test ! -f build.pid || kill -TERM -- -$(cat build.pid); }"
    )
    await connection.run(command, check=False, timeout=COMMAND_SECONDS)


async def _command(
    connection: asyncssh.SSHClientConnection, command: str, data: bytes = b""
) -> bytes:
    done = await run_command(connection, command, data)
    if done.code:
        raise ToolError(
            f"failed: {done.problem}",
            field=f"`{command.split()[0]}` on the other machine",
            remedy="is its disk full, or tar missing?",
        )
    return done.output

"""Another machine over SSH: one connection, commands there, and one line for what goes wrong.

Keys, aliases and jump hosts are those of the user's OpenSSH settings, which asyncssh reads. An
unknown host key is refused.
"""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from fdht_models.errors import ConfigError, ToolError, first_line

if TYPE_CHECKING:
    import asyncssh

Result = TypeVar("Result")

#: Seconds to reach the other machine, and for a command that does not say how long it may take.
CONNECT_SECONDS, COMMAND_SECONDS = 30.0, 600.0
_HOST = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d+))?")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_UNREACHABLE = {
    errno.ENETUNREACH: "there is no route to it",
    errno.EHOSTUNREACH: "there is no route to it",
    errno.ECONNREFUSED: "it answers, but runs no SSH server on this port",
}


@dataclass(frozen=True)
class Host:
    """Another machine.

    Args:
        name: or address, or an alias of the user's OpenSSH settings.
        user: to log in as; by default that of the settings.
        port: of its SSH server; by default that of the settings.
        options: more for `asyncssh.connect`, as `known_hosts` and `client_keys`.
        accepted: fingerprint of a host key that is accepted though it is not in known_hosts.
    """

    name: str
    user: str | None = None
    port: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    accepted: str | None = None


def parse_host(text: str) -> Host:
    """Reads `[user@]host[:port]`.

    Raises:
        ConfigError: it is none.
    """
    found = _HOST.fullmatch(text)
    if found is None or (found["port"] and not 0 < int(found["port"]) < 65536):
        raise ConfigError("must be [user@]host[:port]", field="host", value=text)
    port = int(found["port"]) if found["port"] else None
    return Host(found["host"].strip("[]"), found["user"], port)


def accepting(host: Host, fingerprint: str | None) -> Host:
    """The same machine, whose host key is accepted if it has this fingerprint (`SHA256:..`).

    Raises:
        ConfigError: that is no fingerprint.
    """
    if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
        raise ConfigError(
            "is no fingerprint",
            field="accept-host-key",
            value=fingerprint,
            remedy="run `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there: SHA256:..",
        )
    return replace(host, accepted=fingerprint)


def over_ssh(host: Host, work: Callable[[], Coroutine[Any, Any, Result]], again: str) -> Result:
    """Runs what speaks over SSH, to its end.

    Args:
        host: the other machine.
        work: makes the coroutine.
        again: what the user can do after a connection that was lost.

    Raises:
        ToolError: asyncssh is missing; the machine cannot be reached, its key is not known or
            ours is not accepted, or the connection was lost.
    """
    try:
        import asyncssh
    except ImportError as error:
        raise ToolError(
            "is not installed", field="asyncssh", remedy="pip install 'fdht[remote]'"
        ) from error
    try:
        return asyncio.run(work())
    except asyncssh.PermissionDenied as error:
        raise ToolError(
            "cannot be reached: it accepts none of our keys",
            field=host.name,
            remedy="ssh-copy-id to it, or name the key's file",
        ) from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        raise ToolError(
            f"cannot be read ({first_line(error)})",
            field="identity",
            remedy="name a private key without a pass phrase, or use ssh-agent",
        ) from error
    except (OSError, asyncssh.Error, asyncio.TimeoutError) as error:
        raise ToolError(
            f"cannot be reached, or was lost ({_reason(error)})",
            field=host.name,
            remedy=f"try `ssh` to it by hand; {again}",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _UNREACHABLE:
        return _UNREACHABLE[error.errno]
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return "it did not answer in time"
    said = getattr(error, "reason", "") or getattr(error, "strerror", "") or first_line(error)
    return str(said)


@asynccontextmanager
async def connected(
    host: Host, seconds: float = CONNECT_SECONDS
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection whose data are bytes; see `over_ssh` for what goes wrong."""
    import asyncssh

    shown: list[str] = []

    class Client(asyncssh.SSHClient):
        """Is asked about host keys that are not in known_hosts."""

        def validate_host_public_key(
            self, host_name: str, addr: str, port: int, key: asyncssh.SSHKey
        ) -> bool:
            """Is it the key that the user named?"""
            shown.append(key.get_fingerprint())
            return shown[-1] == host.accepted

    optional = {"username": host.user, "port": host.port}
    given = {key: value for key, value in optional.items() if value is not None}
    try:
        connection = await asyncssh.connect(
            host.name,
            client_factory=Client,
            connect_timeout=seconds,
            login_timeout=seconds,
            keepalive_interval=30,
            encoding=None,
            **given,
            **host.options,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise _unknown_key(host, shown) from error
    async with connection:
        yield connection


def _unknown_key(host: Host, shown: list[str]) -> ToolError:
    fingerprint = shown[-1] if shown else "none that can be shown"
    return ToolError(
        f"cannot be reached: its host key is not that in known_hosts ({fingerprint})",
        field=host.name,
        remedy="compare that with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there, then "
        "`ssh` to it once by hand, or name it as the key to accept",
    )


@dataclass(frozen=True)
class Ended:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    output: bytes
    errors: bytes

    @property
    def problem(self) -> str:
        """The last line of what it complained about, or its exit code."""
        lines = self.errors.decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit code {self.code}"


async def run_command(
    connection: asyncssh.SSHClientConnection,
    command: str,
    data: bytes = b"",
    seconds: float = COMMAND_SECONDS,
) -> Ended:
    """Runs a command there to its end.

    Args:
        connection: of `connected`.
        command: for the other machine's shell.
        data: its standard input.
        seconds: that it may take.

    Raises:
        TimeoutError: it did not end in time.
    """
    done = await connection.run(command, input=data, check=False, encoding=None, timeout=seconds)
    code = -1 if done.exit_status is None else done.exit_status
    return Ended(code, _bytes(done.stdout), _bytes(done.stderr))


def _bytes(data: Any) -> bytes:
    # Without an encoding, asyncssh gives bytes; its types allow for text.
    return data if isinstance(data, bytes) else b""

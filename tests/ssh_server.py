"""A real SSH server on this machine, with real keys and processes, in the place of another one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fdht_hls.flow.ssh import Host

asyncssh = pytest.importorskip("asyncssh", reason="NOT TESTED: over SSH; pip install asyncssh")


class SshServer:
    """An SSH server whose home is a directory; each command is a real process of this machine."""

    def __init__(self, home: Path, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.environment = None if environment is None else dict(environment)
        self.key, self.client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        self.port = 0
        self.commands: list[str] = []
        self._children: list[asyncio.subprocess.Process] = []
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def host(self, **options) -> Host:
        known = asyncssh.import_known_hosts(
            f"[127.0.0.1]:{self.port} {self.key.export_public_key().decode()}"
        )
        given = {"known_hosts": known, "client_keys": [self.client], "config": None, **options}
        return Host("127.0.0.1", "builder", self.port, given)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        keys = asyncssh.import_authorized_keys(self.client.export_public_key().decode())
        server = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self.key],
            authorized_client_keys=keys,
            process_factory=self._process,
            encoding=None,
        )
        self.port = server.get_port()
        self._ready.set()
        await self._stopped.wait()
        server.close()
        await server.wait_closed()
        # What a lost connection left behind must not outlive the loop.
        for child in self._children:
            if child.returncode is None:
                child.kill()
            await child.wait()
            # Its own children may hold its pipes open.
            child._transport.close()
        if rest := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(rest, timeout=10)

    async def _process(self, process: Any) -> None:
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_shell(
            process.command,
            cwd=self.home,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self._children.append(child)
        feed = asyncio.ensure_future(self._feed(process.stdin, child.stdin))
        await asyncio.gather(
            self._pump(child.stdout, process.stdout), self._pump(child.stderr, process.stderr)
        )
        code = await child.wait()
        feed.cancel()
        process.exit(code if code >= 0 else 128 - code)

    async def _pump(self, reader, writer) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()

    async def _feed(self, reader, writer) -> None:
        await self._pump(reader, writer)
        writer.close()

"""A plan on another machine: a real SSH server on this one, with real keys and processes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from fdht_hls.flow import remote
from fdht_hls.flow.build_plan import RESULTS
from fdht_hls.flow.remote import Host, parse_host, run_remotely
from fdht_models.errors import ArtifactError, ConfigError, ToolError
from tests.overlays.vivado.running import needs_tcl

asyncssh = pytest.importorskip(
    "asyncssh", reason="NOT TESTED: builds over SSH; pip install asyncssh"
)
pytestmark = needs_tcl


class Server:
    """An SSH server whose home is a directory; each command is a real process of this machine."""

    def __init__(self, home: Path) -> None:
        self.home = home
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

    async def _process(self, process) -> None:
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_shell(
            process.command,
            cwd=self.home,
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


@pytest.fixture
def server(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    made = Server(home)
    yield made
    made.stop()


def test_a_plan_runs_there_and_its_results_come_back(tmp_path, server, tools, plan):
    seen = []
    work = tmp_path / "work"
    run_remotely(plan, work, server.host(), lambda *told: seen.append(told))
    assert (work / "results" / "fdht.bit").is_file()
    assert (work / "results" / "timing_summary.rpt").is_file()
    steps = list(dict.fromkeys(step for step, *_ in seen))
    assert steps == [step.name for step in plan.steps]
    there = next((server.home / "fdht-build").iterdir())
    assert there.name == f"{plan.name}-{plan.digest[:12]}"
    assert not (there / "build.pid").exists()


def test_what_is_done_there_is_not_done_again(tmp_path, server, tools, plan):
    run_remotely(plan, tmp_path / "work", server.host())
    there = next((server.home / "fdht-build").iterdir())
    (there / "records" / "bitstream").unlink()
    seen = []
    run_remotely(plan, tmp_path / "other", server.host(), lambda *told: seen.append(told))
    assert {step for step, *_ in seen} == {"bitstream"}


def test_a_failure_there_is_one_line_and_leaves_nothing_here(tmp_path, server, tools, plan):
    tools.set(stats={"WNS": "-0.2", "WHS": "0", "TPWS": "0"})
    with pytest.raises(
        ToolError, match=r"build on 127.0.0.1: failed: implementation: .*WNS is -0.2 ns"
    ):
        run_remotely(plan, tmp_path / "work", server.host())
    assert not (tmp_path / "work" / "results").exists()


def test_a_tool_that_is_missing_there_is_named(tmp_path, server, tools, plan):
    (tools.programs / "vivado").unlink()
    with pytest.raises(ToolError, match=r"failed: vivado is missing here: source"):
        run_remotely(plan, tmp_path / "work", server.host())


def alive(text: str) -> list[int]:
    """Processes of this machine whose command line has a text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if text in command:
                found.append(int(entry.name))
    return found


def test_a_build_that_takes_too_long_is_ended_there(tmp_path, server, tools, plan):
    tools.set(sleep={"create_project": 300})
    with pytest.raises(ToolError, match=r"127.0.0.1: did not finish within 12 s; raise --timeout"):
        run_remotely(plan, tmp_path / "work", server.host(), timeout=12)
    for _ in range(100):
        left = alive("tests.overlays.vivado.program")
        left = [number for number in left if str(tmp_path) in cwd(number)]
        if not left:
            break
        threading.Event().wait(0.1)
    for number in left:
        os.kill(number, signal.SIGKILL)
    assert not left


def cwd(number: int) -> str:
    try:
        return str(Path(f"/proc/{number}/cwd").readlink())
    except OSError:
        return ""


def test_an_unknown_host_key_is_refused(tmp_path, server, plan):
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:{server.port} {other}")
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached, or was lost"):
        run_remotely(plan, tmp_path / "work", server.host(known_hosts=known))
    assert not server.commands


def test_a_wrong_key_is_refused(tmp_path, server, plan):
    key = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached, or was lost"):
        run_remotely(plan, tmp_path / "work", server.host(client_keys=[key], agent_path=None))


def test_a_machine_that_does_not_answer_is_named(tmp_path, plan):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    host = Host("127.0.0.1", "builder", port, {"config": None})
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached"):
        run_remotely(plan, tmp_path / "work", host)


def test_a_full_disk_there_is_said(tmp_path, server, plan):
    (server.home / "fdht-build").write_text("a file where a directory is due")
    with pytest.raises(
        ToolError, match=r"`mkdir` on the other machine: failed: mkdir: cannot create"
    ):
        run_remotely(plan, tmp_path / "work", server.host())


def test_refused_results_are_not_left(tmp_path, server, tools, plan, monkeypatch):
    def refused(*_):
        assert (tmp_path / "work" / RESULTS).is_file()
        raise ArtifactError("is damaged", field=RESULTS)

    monkeypatch.setattr(remote, "import_results", refused)
    with pytest.raises(ArtifactError, match="is damaged"):
        run_remotely(plan, tmp_path / "work", server.host())
    assert not (tmp_path / "work" / RESULTS).exists()


def test_damaged_results_are_refused(tmp_path, server, tools, plan):
    run_remotely(plan, tmp_path / "work", server.host())
    there = next((server.home / "fdht-build").iterdir())
    script = there / "build.sh"
    script.write_text("#!/bin/sh\nexit 0\n")
    (there / "results.tar.gz").write_bytes(b"\x1f\x8b nothing")
    # What is unpacked again is the whole plan, so that its own script runs and mends the results.
    run_remotely(plan, tmp_path / "other", server.host())
    assert "results.tar.gz" in script.read_text()
    with pytest.raises(ArtifactError, match="is damaged"):
        from fdht_hls.flow.archive import import_results

        bad = tmp_path / "bad.tar.gz"
        bad.write_bytes(b"\x1f\x8b nothing")
        import_results(plan, bad, tmp_path / "third")


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("big", Host("big")),
        ("me@big.example.org", Host("big.example.org", "me")),
        ("me@10.0.0.2:2222", Host("10.0.0.2", "me", 2222)),
        ("[fe80::1]:22", Host("fe80::1", None, 22)),
    ],
)
def test_a_host_is_read(text, host):
    assert parse_host(text) == host


@pytest.mark.parametrize("text", ["", "a b", "me@", "x:99999", "x;rm", "a@b@c", "host/../x"])
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ConfigError, match=r"must be \[user@\]host\[:port\]"):
        parse_host(text)

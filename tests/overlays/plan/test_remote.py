"""A plan on another machine: a real SSH server on this one, with real keys and processes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from fdht_hls.flow import remote
from fdht_hls.flow.build_plan import RESULTS
from fdht_hls.flow.remote import run_remotely
from fdht_hls.flow.ssh import Host, parse_host
from fdht_models.errors import ArtifactError, ConfigError, ToolError
from tests.overlays.vivado.running import needs_tcl
from tests.ssh_server import SshServer

asyncssh = pytest.importorskip(
    "asyncssh", reason="NOT TESTED: builds over SSH; pip install asyncssh"
)
pytestmark = needs_tcl


@pytest.fixture
def server(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    made = SshServer(home)
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
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached: its host key is not that"):
        run_remotely(plan, tmp_path / "work", server.host(known_hosts=known))
    assert not server.commands


def test_a_wrong_key_is_refused(tmp_path, server, plan):
    key = asyncssh.generate_private_key("ssh-ed25519")
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached: it accepts none of our"):
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

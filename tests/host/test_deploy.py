"""An overlay onto a board by SSH: a real server on this machine, whose home stands for the board's.

Files and processes are real, pip is, and so is the self-test there, on a simulated board.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdht_hls.boards import get_board
from fdht_hls.flow.ssh import accepting, over_ssh
from fdht_host.deploy import deploying, on_board
from fdht_host.deploy.board_image import BoardImage
from fdht_host.deploy.deploying import DeploySettings, deploy
from fdht_host.deploy.needed import Needed, fetch_wheels, needed_on
from fdht_host.deploy.own_wheel import write_own_wheel
from fdht_models.console import silent
from fdht_models.directories import OverlayDirectory
from fdht_models.errors import ConfigError, DeviceError, ToolError
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_overlays.golden import GoldenVectors, golden_frames
from fdht_overlays.manifest import InputLayout
from tests.host import toy_core
from tests.overlays.sample_network import sample_network
from tests.ssh_server import SshServer, asyncssh

NETWORK = sample_network()
NO_ENERGY = DeploySettings(energy=False, place="~/fdht", python=sys.executable, seconds=120)
IMAGE = BoardImage((3, 10), "armv7l", "2.35", "/home/xilinx/fdht", 10**9, True, False, True, {
    "numpy": "1.21.5", "matplotlib": "3.5.1", "pynq": "3.0.1", "pynqmetadata": "0.1.2",
    "pycparser": "2.19", "Jinja2": "3.0.3", "MarkupSafe": "2.1.1",
}, None)  # fmt: skip


@pytest.fixture(scope="module")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> OverlayDirectory:
    """Of a simulated board, with a small core in C++ that another process can load."""
    place = tmp_path_factory.mktemp("deploy")
    values = {"CLASSES": 3, "FRAME_BYTES": 64, "RESULT_BYTES": 16}
    values["DESIGN_ID"] = f"{NETWORK.design_id}ull"
    (place / "core.cpp").write_text(toy_core.SOURCE)
    defined = [f"-D{name}={value}" for name, value in values.items()]
    command = ["g++", "-O1", "-shared", "-fPIC", *defined, "-o", "csim.so", "core.cpp"]
    subprocess.run(command, cwd=place, check=True, timeout=120)
    NETWORK.save(place / "network.json")
    layout = InputLayout(60, FixedPoint(8, 8, False), 64, None, (60,))
    frames = golden_frames(layout)
    made = toy_core.write_toy_overlay(
        place / "sim" / "csim",
        name="tiny-net",
        design_id=NETWORK.design_id,
        input=layout,
        golden=GoldenVectors(frames, _sums(frames)),
        files={name: place / name for name in ("csim.so", "network.json")},
    )
    return OverlayDirectory(made)


def _sums(frames: np.ndarray) -> np.ndarray:
    """What that core computes, of frames of 60 values."""
    i, k = np.arange(60)[:, None], np.arange(3)[None]
    sums, found = np.zeros(3, np.int64), []
    for frame in frames.astype(np.int64):
        sums = np.sign(sums) * (np.abs(sums) // 2) + frame @ ((7 * i + 3 * k) % 11 - 4)
        found.append(sums)
    return np.array(found)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    home = tmp_path / "home"
    home.mkdir()
    found = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    made = SshServer(home, found)
    yield made
    made.stop()


def releases(server: SshServer) -> list[str]:
    return sorted(path.name for path in (server.home / "fdht" / "releases").iterdir())


def test_it_is_installed_tested_and_put_in_use(
    server: SshServer, overlay: OverlayDirectory
) -> None:
    settings = replace(NO_ENERGY, energy=True)
    done = deploy(server.host(), overlay, settings, silent)
    assert done.report.compared == 15 * 3 and done.report.simulated
    assert done.report.design_id == f"{NETWORK.design_id:016x}"
    assert done.report.energy.kind == "modelled" and done.report.energy.total_mj > 0
    current = server.home / "fdht" / "current"
    assert done.place == str(current)
    assert {path.name for path in current.iterdir()} == {"fdht", "lib", "notebooks", "overlay"}
    assert (current / "notebooks" / "board.ipynb").is_file()
    # What runs there is what was sent, not what is installed on this machine.
    code = "import sys; sys.argv[1:] = []; import fdht; print(fdht.__file__)"
    said = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(current / "lib")}, cwd=server.home,
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert said.stdout.strip() == str(current / "lib" / "fdht" / "__init__.py")
    # The former one is kept, and no more; a failure leaves it in use.
    first = current.resolve()
    deploy(server.host(), overlay, NO_ENERGY, silent)
    second = current.resolve()
    assert second != first and releases(server) == sorted([first.name, second.name])


def test_a_failing_self_test_changes_nothing(
    server: SshServer, overlay: OverlayDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server.home / "fdht" / "releases" / "old").mkdir(parents=True)
    (server.home / "fdht" / "current").symlink_to("releases/old")
    packed = deploying._packed

    def damaged(path: Path, wheels: list[Path], python: str) -> bytes:
        copy = server.home.parent / "damaged"
        shutil.copytree(path, copy)
        (copy / "golden.npz").write_bytes(b"")
        return packed(copy, wheels, python)

    monkeypatch.setattr(deploying, "_packed", damaged)
    with pytest.raises(ToolError, match=r"self-test on 127.0.0.1: failed: .*golden.npz"):
        deploy(server.host(), overlay, NO_ENERGY, silent)
    assert (server.home / "fdht" / "current").resolve().name == "old"
    assert releases(server) == ["old"]


@pytest.mark.parametrize("slow", ["pip", "stopped"])
def test_what_takes_too_long_is_ended_and_removed(
    server: SshServer, overlay: OverlayDirectory, tmp_path: Path, slow: str
) -> None:
    """Of a Python whose pip never ends; `stopped`: the connection goes, as after Ctrl-C."""
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -m ]; then exec sleep 987; fi\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    settings = replace(NO_ENERGY, python=str(python), seconds=8 if slow == "pip" else 100)
    if slow == "stopped":
        main = threading.main_thread().ident
        assert main is not None
        seen = threading.Event()

        def show(label: str, *_: object) -> None:
            if label == "installs" and not seen.is_set():
                seen.set()
                threading.Timer(2, lambda: signal.pthread_kill(main, signal.SIGINT)).start()

        former = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                deploy(server.host(), overlay, settings, show)
        finally:
            signal.signal(signal.SIGINT, former)
    else:
        with pytest.raises(
            ToolError,
            match=r"installing on 127.0.0.1: did not finish within 8 s; raise --timeout",
        ):
            deploy(server.host(), overlay, settings, silent)
    for _ in range(100):
        if not releases(server) and not sleeping():
            break
        time.sleep(0.1)
    assert releases(server) == [] and sleeping() == []
    assert not (server.home / "fdht" / "current").exists()


def sleeping() -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        found += [text] if text.startswith("sleep 987") else []
    return found


def test_a_host_key_is_accepted_by_its_fingerprint_alone(
    server: SshServer, overlay: OverlayDirectory
) -> None:
    unknown = server.host(known_hosts=asyncssh.import_known_hosts(""))
    fingerprint = server.key.get_fingerprint()
    with pytest.raises(ToolError, match=r"its host key is not that in known_hosts \(SHA256:"):
        deploy(unknown, overlay, NO_ENERGY, silent)
    wrong = accepting(unknown, "SHA256:" + "A" * 43)
    with pytest.raises(ToolError, match="its host key is not that in known_hosts"):
        deploy(wrong, overlay, NO_ENERGY, silent)
    assert server.commands == []
    with pytest.raises(ToolError, match="Python"):
        named = replace(NO_ENERGY, python="/no/such/python")
        deploy(accepting(unknown, fingerprint), overlay, named, silent)
    assert server.commands
    with pytest.raises(ConfigError, match="is no fingerprint"):
        accepting(unknown, "MD5:00")


def test_a_board_without_python_or_with_one_key_of_ours_is_one_line(
    server: SshServer, overlay: OverlayDirectory
) -> None:
    with pytest.raises(ToolError, match=r"127.0.0.1 = .*: has no Python; name that of its image"):
        deploy(server.host(), overlay, replace(NO_ENERGY, python="/no/such/python"), silent)
    other = asyncssh.generate_private_key("ssh-ed25519")
    host = server.host(client_keys=[other], agent_path=None)
    with pytest.raises(ToolError, match=r"127.0.0.1: cannot be reached: it accepts none of our"):
        deploy(host, overlay, NO_ENERGY, silent)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"python": (3, 8)}, ToolError, "Python of pynq: is too old, 3.8"),
        ({"machine": "aarch64"}, DeviceError, "has a processor of another kind, aarch64; .*armv7l"),
        ({"pip": False}, ToolError, "Python 3.10 of pynq: has no pip"),
        ({"writable": False}, ToolError, "pynq: /home/xilinx/fdht: cannot be written"),
    ],
)
def test_an_image_that_is_not_enough_is_refused(
    change: dict[str, object], kind: type[Exception], message: str
) -> None:
    board = get_board("pynq-z2")
    IMAGE.check("pynq", board, None)
    with pytest.raises(kind, match=message):
        replace(IMAGE, **change).check("pynq", board, None)


def test_a_full_disk_is_told_before_anything_is_sent() -> None:
    with pytest.raises(ToolError, match="disk of pynq: has no space: 1 MB are free, 60 MB are"):
        replace(IMAGE, free_bytes=10**6).check_space("pynq", 10**7)


def test_a_core_of_another_architecture_is_refused(
    overlay: OverlayDirectory, tmp_path: Path
) -> None:
    library = overlay.path / "csim.so"
    with pytest.raises(DeviceError, match="of another kind, armv7l"):
        IMAGE.check("pynq", get_board("sim"), library)


def requires() -> list[str]:
    """What is in the project's file, for what is installed may be of another day."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    board = project["optional-dependencies"]["board"]
    return [*project["dependencies"], *(f'{one} ; extra == "board"' for one in board)]


def test_the_image_of_a_pynq_z2_keeps_what_it_has() -> None:
    """numpy 1.21 and matplotlib 3.5 suffice, and pynq is not touched."""
    needed = needed_on(IMAGE, "pynq", requires())
    names = {re.split("[<>=!~]", text)[0] for text in needed.required}
    assert {"typer", "rich", "tomli", "shellingham", "markdown-it-py", "mdurl"} <= names
    assert not names & {"numpy", "matplotlib", "pynq", "pynqmetadata", "pycparser", "jinja2"}
    assert [re.split("[<>]", text)[0] for text in needed.optional] == ["av"] and not needed.notes


def test_what_only_an_image_can_have_is_asked_of_it() -> None:
    packages = {name: one for name, one in IMAGE.packages.items() if name != "pynq"}
    with pytest.raises(ToolError, match=r"image of pynq: has no pynq.*; use a PYNQ image 3.0.1"):
        needed_on(replace(IMAGE, packages=packages), "pynq", requires())
    older = {**IMAGE.packages, "numpy": "1.17.4"}
    with pytest.raises(ToolError, match=r"has no numpy.*, but 1.17.4"):
        needed_on(replace(IMAGE, packages=older), "pynq", requires())
    without = {name: one for name, one in IMAGE.packages.items() if name != "matplotlib"}
    found = needed_on(replace(IMAGE, packages=without), "pynq", requires())
    assert found.notes == ("matplotlib is not there, or too old: reports have no figures",)


def test_wheels_come_from_a_directory(tmp_path: Path) -> None:
    wheels, into = tmp_path / "wheels", tmp_path / "into"
    wheels.mkdir()
    into.mkdir()
    small = wheels / "small-1.0-py3-none-any.whl"
    with zipfile.ZipFile(small, "w") as archive:
        information = "small-1.0.dist-info"
        metadata = "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n"
        archive.writestr(f"{information}/METADATA", metadata)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{information}/WHEEL", tags)
        archive.writestr(f"{information}/RECORD", "")
    notes = fetch_wheels(Needed(("small>=1",), ("av>=16",), ()), IMAGE, wheels, into)
    assert [path.name for path in into.iterdir()] == [small.name]
    assert notes == [
        "av>=16: no wheel for armv7l, so no videos and no sound can be read there; "
        "arrays and test clips can"
    ]
    with pytest.raises(ToolError, match=r"small>=2: there are no wheels for armv7l, Python 3.10"):
        fetch_wheels(Needed(("small>=2",), (), ()), IMAGE, wheels, into)


def test_the_wheel_is_whole_and_always_the_same(tmp_path: Path) -> None:
    """pip compares each file with RECORD; equal files give equal bytes."""
    (tmp_path / "again").mkdir()
    wheel = write_own_wheel(tmp_path)
    assert wheel.read_bytes() == write_own_wheel(tmp_path / "again").read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    record = {name for name in names if name.endswith("/RECORD")}
    assert len(record) == 1 and "fdht_hls/boards/pynq-z2.toml" in names
    assert {"fdht/cli/deploy.py", "fdht_host/notebooks/board.ipynb"} <= names
    assert not any("__pycache__" in name for name in names)


@pytest.mark.parametrize("name", ["PKG-INFO", "METADATA", None])
def test_the_wheel_s_metadata_are_those_of_an_installation_in_place_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """Beside a checkout lies an .egg-info, which is found first where one works in it."""
    directory = tmp_path / ("fdht.egg-info" if name == "PKG-INFO" else "fdht-7.dist-info")
    directory.mkdir()
    metadata = "Metadata-Version: 2.1\nName: fdht\nVersion: 7\n"
    (directory / (name or "METADATA")).write_text(metadata if name else "")
    found = importlib.metadata.PathDistribution(directory)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: found)
    if name is None:
        with pytest.raises(ToolError, match=r"fdht: has no metadata"):
            write_own_wheel(tmp_path)
        return
    with zipfile.ZipFile(write_own_wheel(tmp_path)) as archive:
        assert archive.read("fdht-7.dist-info/METADATA").decode() == metadata


@pytest.mark.parametrize("allowed", [True, False])
def test_on_a_real_board_the_logic_is_root_s(
    server: SshServer, tmp_path: Path, allowed: bool
) -> None:
    """The steps alone, with a Python and a sudo that only note how they were called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    refusal = "echo sudo: a password is required >&2; exit 1"
    run = f'printf "%s " "$@" >> {tmp_path}/sudo.log; shift; exec "$@"'
    texts = {"sudo": run if allowed else refusal, "python": 'test "$2" = pip || echo "{}"'}
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    server.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    notebooks = tmp_path / "jupyter"
    notebooks.mkdir()
    (tmp_path / "any.whl").write_bytes(b"")
    archive = deploying._packed(notebooks, [tmp_path / "any.whl"], "python")
    root = server.home / "a place"
    place = on_board.Place(server.host(), str(root), "first", "python", True, str(notebooks), 20)
    work = lambda: on_board.install(place, archive, False, silent)  # noqa: E731
    if not allowed:
        with pytest.raises(ToolError, match=r"self-test on .*password is required; deploy as root"):
            over_ssh(place.host, work, "")
        assert list((root / "releases").iterdir()) == []
        return
    assert json.loads(over_ssh(place.host, work, "")) == {}
    said = (tmp_path / "sudo.log").read_text()
    assert said.startswith("-n sh -c ") and "/fdht self-test " in said and "--no-energy" in said
    assert (root / "current").resolve() == root / "releases" / "first"
    assert not (root / "current" / "pid").exists()
    assert (notebooks / "fdht" / "board.ipynb").is_file()


def test_the_command(
    server: SshServer, overlay: OverlayDirectory, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import fdht

    own = tmp_path / "own"
    (own / ".ssh").mkdir(parents=True)
    (own / ".ssh" / "known_hosts").write_text("")
    monkeypatch.setenv("HOME", str(own))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server.client.write_private_key(str(own / "key"))
    (own / "key").chmod(0o600)
    arguments = ["deploy", "xilinx@127.0.0.1", "--overlay", str(overlay.path.parent), "-i",
                 str(own / "key"), "--port", str(server.port), "--python", sys.executable,
                 "--no-energy", "--json"]  # fmt: skip
    assert fdht.main(arguments) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    fingerprint = server.key.get_fingerprint()
    assert (
        said.startswith("fdht: 127.0.0.1: cannot be reached: its host key") and fingerprint in said
    )
    assert fdht.main([*arguments, "--accept-host-key", fingerprint]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["report"]["compared"] == 45 and done["host"] == "127.0.0.1"
    assert done["report"]["energy"]["kind"] == "unmeasured"

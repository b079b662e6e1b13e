"""`fdht deploy`: an overlay and this package onto a board, and the self-test's report back."""

from __future__ import annotations

import io
import secrets
import shlex
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fdht_hls.boards import get_board
from fdht_hls.flow.ssh import Host, over_ssh
from fdht_host.deploy.board_image import BoardImage
from fdht_host.deploy.needed import fetch_wheels, needed_on
from fdht_host.deploy.on_board import (
    LAUNCHER,
    NOTEBOOKS,
    OVERLAY_THERE,
    WHEELS,
    Place,
    ask,
    install,
)
from fdht_host.deploy.own_wheel import write_own_wheel
from fdht_host.self_test import SelfTest
from fdht_models.console import Show
from fdht_models.directories import LIBRARY, OverlayDirectory
from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError, ToolError
from fdht_models.records import JsonRecord, read_record
from fdht_models.rendering import templates
from fdht_overlays.manifest import load_manifest

_OWN = Path(__file__).parents[1]
_PROBE = Path(__file__).with_name("board_probe.py")
#: Where it is installed, unless the user says otherwise: below the home directory there.
PLACE = "~/fdht"
_AGAIN = "what was there before is in use still"


@dataclass(frozen=True)
class DeploySettings:
    """How to deploy.

    Args:
        place: directory there.
        python: of the image; None: that of PYNQ's images, else the shell's.
        wheel: of this package; None: it is made of what is installed here.
        wheels: directory of wheels of what the image lacks; None: pip's index.
        energy: measure energy in the self-test.
        seconds: that each step may take.
    """

    place: str = PLACE
    python: str | None = None
    wheel: Path | None = None
    wheels: Path | None = None
    energy: bool = True
    seconds: float = 600.0


@dataclass(frozen=True)
class Deployed(JsonRecord):
    """What was done.

    Args:
        host: the board.
        place: the link to what is in use there.
        command: that runs fdht there.
        python: the image's.
        sent: names of the wheels.
        report: of the self-test.
        notes: what the board cannot do, or what else is to be known.
    """

    host: str
    place: str
    command: str
    python: str
    sent: tuple[str, ...]
    report: SelfTest
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            *self.report.lines(),
            *(f"note: {note}" for note in self.notes),
            f"there: {self.command} run {self.place}/{OVERLAY_THERE} --source FILE",
        ]


def deploy(host: Host, overlay: OverlayDirectory, settings: DeploySettings, show: Show) -> Deployed:
    """Copies, installs, tests and puts in use.

    Args:
        host: the board.
        overlay: what `fdht build` wrote.
        settings: how.
        show: told which step is under way.

    Raises:
        ArtifactError: the overlay or the wheel is missing or damaged.
        DeviceError: the board has another architecture than the overlay.
        ToolError: anything there is missing, failed or took too long; what was in use there is so
            still, and nothing of this is left.
    """
    manifest = load_manifest(overlay.path)
    stage, board = overlay.open(), get_board(manifest.board)
    show("asks the board", 0, 4)
    image, python = _image(host, settings)
    library = stage.file(LIBRARY) if board.simulated else None
    image.check(host.name, board, library)
    needed = needed_on(image, host.name)
    with tempfile.TemporaryDirectory() as scratch:
        wheels = Path(scratch)
        own = _own_wheel(settings.wheel, wheels)
        notes = [*needed.notes, *fetch_wheels(needed, image, settings.wheels, wheels)]
        found = sorted({own, *wheels.glob("*.whl")})
        archive = _packed(overlay.path, found, python)
    image.check_space(host.name, len(archive))
    sudo = not image.root and not board.simulated
    place = Place(
        host,
        root=image.place,
        release=secrets.token_hex(6),
        python=python,
        sudo=sudo,
        notebooks=image.notebooks,
        seconds=settings.seconds,
    )
    tested = over_ssh(host, lambda: install(place, archive, settings.energy, show), _AGAIN)
    report = _report(tested, host)
    command = f"{'sudo ' if sudo else ''}{place.current}/{LAUNCHER}"
    names = tuple(path.name for path in found)
    return Deployed(host.name, place.current, command, python, names, report, tuple(notes))


def _image(host: Host, settings: DeploySettings) -> tuple[BoardImage, str]:
    script, python = _PROBE.read_text(), settings.python
    work = lambda: ask(host, python, script, settings.place, settings.seconds)  # noqa: E731
    found, _, text = over_ssh(host, work, _AGAIN).output.decode(errors="replace").partition("\n")
    name, remedy = f"what {host.name} says of itself", "does its shell print when one logs in?"
    value = parse_json(text, name, error=ToolError, remedy=remedy)
    image = read_record(BoardImage, value, source=name, error=ToolError, remedy=remedy)
    return image, found.strip()


def _own_wheel(given: Path | None, into: Path) -> Path:
    if given is None:
        return write_own_wheel(into)
    if not given.is_file() or given.suffix != ".whl":
        raise ArtifactError("is no wheel", field=str(given), remedy="name a file fdht-..-.whl")
    return given


def _packed(overlay: Path, wheels: list[Path], python: str) -> bytes:
    """A release as .tar.gz."""
    launcher = templates(_OWN / "templates").get_template("launcher.sh.j2")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
        archive.add(overlay, OVERLAY_THERE)
        archive.add(_OWN / NOTEBOOKS, NOTEBOOKS)
        for wheel in wheels:
            archive.add(wheel, f"{WHEELS}/{wheel.name}")
        text = launcher.render(python=shlex.quote(python)).encode()
        entry = tarfile.TarInfo(LAUNCHER)
        entry.size, entry.mode = len(text), 0o755
        archive.addfile(entry, io.BytesIO(text))
    return buffer.getvalue()


def _report(output: bytes, host: Host) -> SelfTest:
    name, remedy = f"self-test of {host.name}", "deploy again"
    value = parse_json(output.decode(errors="replace"), name, error=ToolError, remedy=remedy)
    return read_record(SelfTest, value, source=name, error=ToolError, remedy=remedy)

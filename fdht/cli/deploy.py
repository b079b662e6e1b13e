"""The commands that bring an overlay to a board, and that test it there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fdht.cli.options import AsJson
from fdht.cli.output import tell
from fdht_models.console import progress
from fdht_models.errors import ConfigError

_THERE = "On the board"


def deploy(
    target: Annotated[str, typer.Argument(metavar="USER@BOARD", help="The board, over SSH.")],
    overlay: Annotated[Path, typer.Option(help="Directory of an overlay, or of those of a board.")],
    identity: Annotated[
        Path | None, typer.Option("--identity", "-i", help="File of a private key.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Of its SSH server.")] = None,
    accept_host_key: Annotated[
        str | None,
        typer.Option(metavar="SHA256:..", help="Fingerprint of a host key to accept this once."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=1.0, max=86400.0, help="Seconds that each step may take.")
    ] = 600.0,
    wheel: Annotated[
        Path | None,
        typer.Option(help="Of fdht; by default made of what is installed here."),
    ] = None,
    wheels: Annotated[
        Path | None,
        typer.Option(help="Directory of wheels that the image lacks; else pip's index."),
    ] = None,
    place: Annotated[
        str, typer.Option(rich_help_panel=_THERE, help="Directory to install into.")
    ] = "~/fdht",
    python: Annotated[
        str | None,
        typer.Option(rich_help_panel=_THERE, help="By default that of PYNQ's images."),
    ] = None,
    energy: Annotated[
        bool, typer.Option(rich_help_panel=_THERE, help="Measure energy in the self-test.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Copies an overlay and fdht to a board, installs without a compiler, and tests it there."""
    from dataclasses import replace

    from fdht_hls.flow.ssh import accepting, parse_host
    from fdht_host.choice import overlay_at
    from fdht_host.deploy.deploying import DeploySettings, deploy

    host = parse_host(target)
    options: dict[str, Any] = {}
    if identity is not None:
        if not identity.is_file():
            raise ConfigError("is no file", field="identity", value=str(identity))
        options["client_keys"] = [str(identity)]
    if port is not None:
        host = replace(host, port=port)
    host = accepting(replace(host, options=options), accept_host_key)
    if wheels is not None and not wheels.is_dir():
        raise ConfigError("is no directory", field="wheels", value=str(wheels))
    settings = DeploySettings(place, python, wheel, wheels, energy, timeout)
    with progress() as show:
        done = deploy(host, overlay_at(overlay), settings, show)
    tell(done.to_json(), as_json, lambda _: done.lines())


def self_test(
    overlay: Annotated[Path, typer.Argument(help="Directory of an overlay.")],
    energy: Annotated[bool, typer.Option(help="Measure energy per frame.")] = True,
    as_json: AsJson = False,
) -> None:
    """Loads an overlay, compares identity and golden vectors, and measures energy once."""
    from fdht_host.choice import overlay_at
    from fdht_host.self_test import self_test

    with progress() as show:
        found = self_test(overlay_at(overlay), energy, show)
    tell(found.to_json(), as_json, lambda _: found.lines())

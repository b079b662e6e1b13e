"""A wheel of this package as it is installed here, from an editable checkout or from a wheel.

It is written by hand, as PEP 427 says: that takes no build tools and no network, and the board gets
the very files that run here.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import zipfile
from collections.abc import Iterator
from pathlib import Path

from fdht_models.errors import ToolError

#: The packages; each is a directory with data files beside its modules.
PACKAGES = ("fdht", "fdht_models", "fdht_hls", "fdht_overlays", "fdht_host")
_WHEEL = "Wheel-Version: 1.0\nGenerator: fdht\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
#: The earliest date that a zip can hold: equal files give equal wheels.
_DATE = (1980, 1, 1, 0, 0, 0)


def write_own_wheel(directory: Path) -> Path:
    """Writes the wheel into a directory; returns its path.

    Raises:
        ToolError: this package is not installed as pip does it, so that nobody knows what it needs.
    """
    try:
        own = importlib.metadata.distribution("fdht")
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolError("is not installed", field="fdht", remedy="pip install fdht") from error
    information = f"fdht-{own.version}.dist-info"
    # Beside a checkout that was installed as it is lies an .egg-info, which calls it otherwise.
    metadata = own.read_text("METADATA") or own.read_text("PKG-INFO")
    if not metadata:
        raise ToolError("has no metadata", field="fdht", remedy="pip install fdht again")
    texts = {
        f"{information}/METADATA": metadata,
        f"{information}/WHEEL": _WHEEL,
        f"{information}/entry_points.txt": own.read_text("entry_points.txt") or "",
    }
    found = dict(_files()) | {name: text.encode() for name, text in texts.items()}
    record = "".join(f"{name},{_digest(data)},{len(data)}\n" for name, data in found.items())
    found[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n".encode()
    path = directory / f"fdht-{own.version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in found.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED)
    return path


def _files() -> Iterator[tuple[str, bytes]]:
    """Name in the wheel and content of each file of the packages."""
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None and spec.submodule_search_locations
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*")):
            inside = path.relative_to(root.parent)
            if path.is_file() and "__pycache__" not in inside.parts:
                yield inside.as_posix(), path.read_bytes()


def _digest(data: bytes) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
    return f"sha256={found.decode()}"

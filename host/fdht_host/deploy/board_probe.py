"""Runs on a board, by the Python of its image: what is there, as one JSON object.

It is sent as text, before anything of ours is there, so it takes the standard library alone, and
no Python that would be too old to say so. Its argument is the directory to install into.
"""

import json
import os
import platform
import shutil
import sys
from importlib import util
from pathlib import Path
from typing import Any, Dict, Optional  # noqa: UP035 - of Pythons that are too old, too

_NOTEBOOKS = "/home/xilinx/jupyter_notebooks"


def found(place: str) -> "Dict[str, Any]":  # noqa: UP006
    """What `fdht_host.deploy.board_image.BoardImage` holds."""
    wanted = Path(os.path.abspath(os.path.expanduser(place)))  # noqa: PTH100, PTH111 - no link read
    existing = next(path for path in [wanted, *wanted.parents] if path.is_dir())
    return {
        "python": list(sys.version_info[:2]),
        "machine": platform.machine(),
        "libc": platform.libc_ver()[1],
        "place": str(wanted),
        "free_bytes": shutil.disk_usage(str(existing)).free,
        "writable": os.access(str(existing), os.W_OK),
        "root": os.geteuid() == 0,
        "pip": util.find_spec("pip") is not None,
        "packages": _packages(),
        "notebooks": _notebooks(),
    }


def _packages() -> "Dict[str, str]":  # noqa: UP006
    versions: Dict[str, str] = {}  # noqa: UP006
    try:
        from importlib import metadata
    except ImportError:
        return versions
    for one in metadata.distributions():
        if one.metadata["Name"]:  # the first of a name is what is imported
            versions.setdefault(one.metadata["Name"], one.version)
    return versions


def _notebooks() -> "Optional[str]":  # noqa: UP045
    place = os.environ.get("PYNQ_JUPYTER_NOTEBOOKS") or _NOTEBOOKS
    return place if Path(place).is_dir() else None


if __name__ == "__main__":
    print(json.dumps(found(sys.argv[1])))

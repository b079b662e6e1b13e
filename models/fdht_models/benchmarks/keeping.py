"""Results of a benchmark that are kept, so that an interrupted one goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fdht_models.artifacts import digest_of, write_json
from fdht_models.records import Record, load_record


def kept(
    directory: Path, key: Mapping[str, Any], kind: type[Record], measure: Callable[[], Record]
) -> Record:
    """A result from the directory, or measured and kept there.

    Args:
        directory: one file for each result.
        key: all that it depends on; its digest names the file.
        kind: its class.
        measure: makes it.

    Raises:
        ArtifactError: a file is there that cannot be read, or none can be written.
    """
    path = directory / f"{digest_of(key)[:16]}.json"
    if path.is_file():
        return load_record(kind, path, remedy="delete it")
    found = measure()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, asdict(found))  # type: ignore[call-overload]
    return found

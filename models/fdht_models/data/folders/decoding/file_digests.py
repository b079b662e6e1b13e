"""Digests of files' contents, remembered so that a large set is read for them only once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from fdht_models.artifacts import canonical_json, read_json, read_manifest, write_json
from fdht_models.errors import ArtifactError
from fdht_models.files import Stamp, stamp_of
from fdht_models.records import read_record
from fdht_models.threads import map_in_threads

_CHUNK = 1 << 20
#: A file written so recently may be written again within one tick of the file system's clock.
_SETTLED_SECONDS = 2.0
_KNOWN = dict[str, tuple[Stamp, str]]


class FileIndex:
    """SHA-256 of files, by path, kept in one file of the cache.

    A remembered digest holds as long as size, both time stamps and inode of the file are the same.

    Args:
        path: the index; one that cannot be read is made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._changed = False
        try:
            self._known = read_record(_KNOWN, read_json(path), error=ArtifactError)
        except ArtifactError:
            self._known = {}

    def digests(
        self, paths: Iterable[Path], tick: Callable[[int], None] = lambda _: None
    ) -> dict[Path, str | OSError]:
        """Returns each file's digest, or why it cannot be read.

        Args:
            paths: the files.
            tick: called with 1 for each file done.
        """
        found: dict[Path, str | OSError] = {}
        unknown: list[Path] = []
        for path in paths:
            digest = self._remembered(path)
            if digest is None:
                unknown.append(path)
            else:
                found[path] = digest
                tick(1)
        try:
            for path, result in zip(unknown, map_in_threads(_digest, unknown), strict=True):
                found[path] = result[1] if isinstance(result, tuple) else result
                if isinstance(result, tuple):
                    self._remember(path, *result)
                tick(1)
        finally:
            self.save()  # interrupted: what was read is kept
        return found

    def save(self) -> None:
        """Writes the index, if it changed.

        Raises:
            ArtifactError: it cannot be written.
        """
        if self._changed:
            write_json(self._path, self._known)
            self._changed = False

    def is_current(self, directory: Path, stage: str, inputs: Mapping[str, Any]) -> bool:
        """As `artifacts.is_current`, but files that did not change are not read again."""
        try:
            manifest = read_manifest(directory, stage)
        except ArtifactError:
            return False
        if canonical_json(manifest.get("inputs")) != canonical_json(dict(inputs)):
            return False
        files = {directory / name: digest for name, digest in manifest.get("files", {}).items()}
        return bool(files) and self.digests(files) == files

    def _remembered(self, path: Path) -> str | None:
        known = self._known.get(str(path.absolute()))
        try:
            return known[1] if known and known[0] == stamp_of(path) else None
        except OSError:
            return None

    def _remember(self, path: Path, stamp: Stamp, digest: str) -> None:
        newest = max(stamp[1], stamp[2]) / 1e9
        if time.time() - newest > _SETTLED_SECONDS:
            self._known[str(path.absolute())] = (stamp, digest)
            self._changed = True


def _digest(path: Path) -> tuple[Stamp, str] | OSError:
    try:
        stamp = stamp_of(path)
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
    except OSError as error:
        return error
    return stamp, digest.hexdigest()

"""What one stage reads of another's directory: files that are what the manifest says.

A file of a stage directory is read through `Stage`, which compares it with the digest in the
manifest first. So what is used belongs together: the network, the figures that were found for it
and the library that was compiled from it, of one stage at one time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from fdht_models.artifacts import (
    FORMER,
    MANIFEST,
    again_of,
    digest_file,
    read_json,
    recover,
)
from fdht_models.errors import ArtifactError

#: Digests of files that have not changed since, by path, size and times.
_digests: dict[tuple[str, int, int, int, int], str] = {}
#: Seconds after a change in which a second one could leave the file's times as they are.
_SETTLED_AFTER = 1.0


@dataclass(frozen=True)
class Stage:
    """A stage directory that is read; see `fdht_models.directories`.

    Attributes:
        directory: where it is.
        name: of the stage.
        manifest: what it says of itself.
    """

    directory: Path
    name: str
    manifest: Mapping[str, Any]

    @property
    def design_id(self) -> str | None:
        """Identity of the network that it is about, 16 hexadecimal digits; None if it says none."""
        # An overlay's is part of its description.
        found = self.manifest.get("design_id")
        found = self.manifest.get(self.name, {}).get("design_id") if found is None else found
        return None if found is None else str(found)

    @property
    def again(self) -> str:
        """What the user can do about a file that cannot be used."""
        return again_of(self.name)

    @property
    def files(self) -> Mapping[str, str]:
        """Digests by file name."""
        files: Mapping[str, str] = self.manifest["files"]
        return files

    def holds(self, name: str) -> bool:
        """Is it one of the files that the stage wrote?"""
        return name in self.files

    def file(self, name: str) -> Path:
        """The path of a file that is as the stage wrote it.

        Args:
            name: relative to the directory.

        Raises:
            ArtifactError: the stage wrote no such file, or it is gone or another one since.
        """
        path = self.directory / name
        if not self.holds(name):
            raise ArtifactError("is not in the manifest", field=str(path), remedy=self.again)
        if not path.is_file():
            raise ArtifactError("is missing", field=str(path), remedy=self.again)
        if _digest(path) != self.files[name]:
            raise ArtifactError(
                "differs from its digest in the manifest", field=str(path), remedy=self.again
            )
        return path

    def find(self, name: str) -> Path | None:
        """As `file`; None if there is no such file.

        A file that the manifest does not list was put there by hand: nothing says what it should
        be.

        Raises:
            ArtifactError: it is not as the stage wrote it.
        """
        if self.holds(name):
            return self.file(name)
        path = self.directory / name
        return path if path.is_file() else None

    def read_json(self, name: str) -> Any:
        """The content of a JSON file that is as the stage wrote it.

        Raises:
            ArtifactError: as `file`, or it is no JSON.
        """
        return read_json(self.file(name), self.again)

    def check(self, below: str = "") -> None:
        """Compares all files with their digests, or those below one folder of the directory.

        Raises:
            ArtifactError: the first that is missing or differs.
        """
        for name in self.files:
            if not below or name.startswith(f"{below}/"):
                self.file(name)


def stages_in(root: Path) -> list[Path]:
    """Directories below `root` that stages wrote, by name.

    Directories that are still being written, and former ones that an interruption left, are none;
    what an interruption took away is put back.
    """
    with suppress(OSError):
        for former in root.glob(f".*{FORMER}"):
            recover(root / former.name[1 : -len(FORMER)])
        return sorted(
            path
            for path in root.iterdir()
            if not path.name.startswith(".") and (path / MANIFEST).is_file()
        )
    return []


@contextmanager
def new_directory(parent: Path, name: str) -> Iterator[Path]:
    """Yields a new, empty directory that is nobody else's: `name`, or `name`-2 if that is taken.

    One that is still empty at the end, since its owner failed, is removed.

    Raises:
        ArtifactError: it cannot be made.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in count(1):
            directory = parent / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):  # atomic: of two processes one makes it
                directory.mkdir()
                break
    except OSError as error:
        raise ArtifactError(
            f"cannot be made ({error.strerror or error})",
            field=str(parent / name),
            remedy="free space or choose another directory",
        ) from error
    try:
        yield directory
    finally:
        with suppress(OSError):  # it holds what it was made for
            directory.rmdir()


def _digest(path: Path) -> str:
    """`digest_file`, once for each version of a file."""
    found = path.stat()
    key = (str(path), found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if key not in _digests:
        digest = digest_file(path)
        if time.time() - found.st_ctime < _SETTLED_AFTER:
            return digest
        _digests[key] = digest
    return _digests[key]

"""Stage directories: written whole or not at all, and described by a manifest.

Every stage of the flow reads one directory and writes one
(`build/<name>/model/ -> hls/ -> overlay/<board>/<flow>/ -> run/<time>/`). A stage writes into a
temporary sibling and swaps it in at the end, so an interruption or a full disk leaves the former
directory as it was.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError
from fdht_models.files import read_text_file, require_regular_file
from fdht_models.records import read_record

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
#: Ends the name of a directory that is being replaced, or that an interruption left so.
FORMER = ".former"
#: Names of the stages, in their manifests and of their directories.
MODEL, CONVERSION, TUNING, EXPLORATION = "model", "hls", "tune", "explore"
OVERLAY, RUN, DECOMPOSITION, ENERGY = "overlay", "run", "decomposed", "energy"
#: Key of a manifest that holds the digest of all the rest of it, and so of the whole directory: of
#: a stage whose directory is copied to where none of the others is.
SEAL = "digest"
#: What stages' manifests hold beside what all of them do: key and type, which those who read it
#: may check further.
STAGE_KEYS: Mapping[str, Mapping[str, Any]] = {
    MODEL: {"design_id": str, "streams": str},
    CONVERSION: {"estimate": Mapping[str, Any], "design_id": str, "plan": Mapping[str, Any]},
    TUNING: {"kind": str},
    EXPLORATION: {"kind": str},
    OVERLAY: {OVERLAY: Mapping[str, Any], SEAL: str},
    RUN: {"experiment": str},
    ENERGY: {"experiment": str},
}
#: Remedy for a file of a stage that cannot be used.
AGAIN = "delete it and run its stage again"
#: The commands that write stages; what has none, a cache, is made when it is needed.
_COMMANDS = {
    MODEL: "train",
    DECOMPOSITION: "decompose",
    CONVERSION: "convert",
    TUNING: "tune",
    EXPLORATION: "tune --explore",
    RUN: "run",
    ENERGY: "energy",
}
#: Where everything is built unless `--build` says otherwise.
BUILD = Path("build")
_DIGEST = re.compile("[0-9a-f]{64}")
_PIECE = 1 << 20
#: Seconds in which a new temporary directory is locked by its owner.
_LOCKED_BY = 60.0
#: Seconds after the last change when, on a disk that knows no locks, it belongs to nobody.
_ABANDONED_AFTER = 24 * 3600.0
#: Errors of the medium, which come without a file name when a stream is flushed.
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no white space: equal data give equal text, hence equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, read in pieces: a data set may be larger than the memory.

    Raises:
        ArtifactError: there is something else than a file, such as a pipe.
        OSError: it cannot be read.
    """
    if path.exists():
        require_regular_file(path, error=ArtifactError)
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a file atomically.

    Raises:
        ArtifactError: the file cannot be written (full disk, no permission); a file that was
            there before is untouched.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def check_place(path: Path) -> None:
    """Finds out whether a file can be written, before the work whose result goes there.

    Raises:
        ArtifactError: it cannot.
    """
    place = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file atomically; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically; see `write_bytes`."""
    write_text(path, json.dumps(value, indent=1, sort_keys=False, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str | None = None) -> Any:
    """Reads a JSON file; see `fdht_models.documents` for what is refused.

    Args:
        path: a regular file.
        remedy: where it is not a stage's: what the user can do about a file that cannot be used.

    Raises:
        ArtifactError: the file is missing or is not JSON.
    """
    missing = remedy or "run the stage before this one"
    text = read_text_file(path, error=ArtifactError, remedy=missing)
    return parse_json(text, str(path), error=ArtifactError, remedy=remedy or AGAIN)


def read_manifest(directory: Path, stage: str) -> dict[str, Any]:
    """Returns the manifest of a stage directory.

    What stands under a stage's own keys, see `STAGE_KEYS`, is checked by those who read it.

    Raises:
        ArtifactError: there is none, it is of another stage or schema version, or it is damaged:
            a key is unknown, missing or of another kind, or a file lies outside the directory.
    """
    recover(directory)
    path = directory / MANIFEST
    remedy = again_of(stage) if path.exists() else _first_of(directory, stage)
    manifest = read_json(path, remedy)
    for key, expected in (("stage", stage), ("schema", SCHEMA_VERSION)):
        found = manifest.get(key) if isinstance(manifest, dict) else None
        if found != expected or type(found) is not type(expected):
            raise ArtifactError(
                f"expected {expected!r}",
                field=f"{path}: {key}",
                value=found,
                remedy=remedy,
            )
    _check_manifest(path, manifest, STAGE_KEYS.get(stage, {}), remedy)
    if SEAL in manifest and seal_of(manifest) != manifest[SEAL]:
        raise ArtifactError(
            "differs from the digest in it",
            field=str(path),
            remedy=remedy,
        )
    kept: dict[str, Any] = manifest
    return kept


def again_of(stage: str) -> str:
    """What makes a stage whole again; an overlay's directory may be a copy, on a board."""
    if stage == OVERLAY:
        return "copy it again, or run fdht build again"
    if stage not in _COMMANDS:
        return "delete the directory; it is made again when it is needed"
    return f"run fdht {_COMMANDS[stage]} again"


def command_on(build: Path, command: str, options: str = "") -> str:
    """A command about the build of an experiment, as it is typed where this one was.

    Args:
        build: `build/<name>`, or that of another `--build`.
        command: its name.
        options: of it.
    """
    words = ["fdht", command, shlex.quote(build.name), *([options] if options else [])]
    if build.parent != BUILD:
        words += ["--build", shlex.quote(str(build.parent))]
    return " ".join(words)


def _first_of(directory: Path, stage: str) -> str:
    """What makes a stage that is not there."""
    if stage not in (MODEL, CONVERSION):
        return again_of(stage)
    command = _COMMANDS[stage]
    # Of a build the experiment is known; a model alone may lie anywhere.
    known = directory.name == stage and directory.parent.name
    return f"run {command_on(directory.parent, command) if known else f'fdht {command}'} first"


def seal_of(manifest: Mapping[str, Any]) -> str:
    """Digest of a manifest without the digest in it; it covers the files by their digests."""
    return digest_of({key: value for key, value in manifest.items() if key != SEAL})


@dataclass(frozen=True)
class _Manifest:
    """What every stage's manifest holds."""

    schema: int
    stage: str
    inputs: Mapping[str, Any]
    tools: Mapping[str, str]
    files: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, digest in self.files.items():
            inside = PurePosixPath(name)
            if inside.is_absolute() or ".." in inside.parts or str(inside) != name:
                raise ArtifactError("is no file in the directory", field=f"files.{name}")
            if not _DIGEST.fullmatch(digest):
                raise ArtifactError("is no SHA-256", field=f"files.{name}", value=digest)


def _check_manifest(
    path: Path, manifest: Mapping[str, Any], own: Mapping[str, Any], remedy: str
) -> None:
    common = {key: value for key, value in manifest.items() if key not in own}
    how: dict[str, Any] = {"source": str(path), "error": ArtifactError, "remedy": remedy}
    read_record(_Manifest, common, **how)
    for key, hint in own.items():
        if key in manifest:
            read_record(hint, manifest[key], path=key, **how)


def is_current(directory: Path, stage: str, inputs: Mapping[str, Any]) -> bool:
    """True if `directory` is whole and was made by `stage` from exactly these inputs."""
    try:
        manifest = read_manifest(directory, stage)
    except ArtifactError:
        return False
    # Compared as JSON, which has one kind of sequence: a tuple was written as a list.
    if canonical_json(manifest["inputs"]) != canonical_json(dict(inputs)):
        return False
    files = manifest["files"]
    return all(
        (directory / name).is_file() and digest_file(directory / name) == digest
        for name, digest in files.items()
    )


@contextmanager
def new_stage(
    directory: Path,
    stage: str,
    inputs: Mapping[str, Any],
    tools: Mapping[str, str] | None = None,
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yields (temporary directory, extra manifest fields to fill); swaps it in on success.

    Args:
        directory: the stage's final directory.
        stage: its name, kept in the manifest.
        inputs: digests of all that the stage read; `is_current` compares them.
        tools: versions of the programs that made it.

    Raises:
        ArtifactError: it cannot be written; what was there before is untouched. Other errors of
            the body, such as a missing program, pass as they are.
    """
    recover(directory)
    extra: dict[str, Any] = {}
    temporary: Path | None = None
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with temporary_sibling(directory) as temporary:
            yield temporary, extra
            files = {
                str(path.relative_to(temporary)): digest_file(path)
                for path in sorted(temporary.rglob("*"))
                if path.is_file()
            }
            unknown = set(extra) - set(STAGE_KEYS.get(stage, {}))
            assert not unknown, f"STAGE_KEYS does not list {unknown} of the stage {stage}"
            manifest = {
                "schema": SCHEMA_VERSION,
                "stage": stage,
                "inputs": dict(inputs),
                "tools": dict(tools or {}),
                **extra,
                "files": files,
            }
            if SEAL in STAGE_KEYS.get(stage, {}):
                manifest[SEAL] = seal_of(manifest)
            write_json(temporary / MANIFEST, manifest)
            _swap(temporary, directory)
    except OSError as error:
        if temporary is not None and not _is_about_writing(error, temporary, directory):
            raise
        raise _unwritable(directory, error) from error


@contextmanager
def temporary_sibling(directory: Path) -> Iterator[Path]:
    """Yields a new directory beside another, to be renamed to it; removes what is left of it.

    Its owner holds a lock on it, which the system frees if the owner is killed; the next call for
    the same `directory` then removes it.

    Raises:
        OSError: it cannot be made.
    """
    _remove_abandoned(directory)
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    handle = os.open(temporary, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        temporary.chmod(0o755)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def _remove_abandoned(directory: Path) -> None:
    """Removes temporary siblings whose owners were killed."""
    name = re.compile(re.escape(f".{directory.name}.") + "[a-z0-9_]{8}")  # as tempfile names them
    with suppress(OSError):
        for place in directory.parent.iterdir():
            if name.fullmatch(place.name) and _is_abandoned(place):
                shutil.rmtree(place, ignore_errors=True)


def _is_abandoned(place: Path) -> bool:
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False  # it is no directory, or went just now
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return time.time() - place.stat().st_mtime > _LOCKED_BY
    except BlockingIOError:
        return False
    except OSError:
        last = max((path.lstat().st_mtime for path in place.rglob("*")), default=0.0)
        return time.time() - max(last, place.stat().st_mtime) > _ABANDONED_AFTER
    finally:
        os.close(handle)


def recover(directory: Path) -> None:
    """Ends a swap that was interrupted: puts the former directory back, or removes it.

    It is removed only where its successor is there with a manifest. A swap that is under way is
    waited for.
    """
    former = _former(directory)
    if not former.is_dir():
        return
    with suppress(OSError), _locked(former):  # gone meanwhile, or a disk that is read only
        if not directory.exists():
            former.rename(directory)
        elif (directory / MANIFEST).is_file():
            shutil.rmtree(former, ignore_errors=True)


def _former(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}{FORMER}")


def _swap(new: Path, final: Path) -> None:
    # Two renames, not one: Linux cannot replace a non-empty directory. A crash between them
    # leaves the former directory under a name that `recover` puts back.
    former = _former(final)
    shutil.rmtree(former, ignore_errors=True)
    if not final.exists():
        new.rename(final)
        return
    with _locked(final):  # by its inode: `recover` waits for it under its other name
        final.rename(former)
        try:
            new.rename(final)
        except OSError:
            if not final.exists():
                former.rename(final)
            raise
        shutil.rmtree(former, ignore_errors=True)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some network disks know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_about_writing(error: OSError, *places: Path) -> bool:
    # A stage also reads files and starts programs; a missing one is not a full disk.
    if error.errno in _DISK_ERRORS:
        return True
    if not isinstance(error.filename, str | bytes):
        return False
    found = Path(os.fsdecode(error.filename))
    return any(place == found or place in found.parents for place in places)


def _unwritable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"cannot be written ({error.strerror or error})",
        field=str(path),
        remedy="free space or choose another directory; what was there before is unchanged",
    )

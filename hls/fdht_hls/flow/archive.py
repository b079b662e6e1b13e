"""Plans and results as archives: the same bytes for the same plan, and nothing taken on trust."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from pathlib import Path

from fdht_hls.flow.build_plan import DIGESTS, PLAN, RESULTS, BuildPlan
from fdht_hls.flow.failure import Ended
from fdht_hls.flow.lock import only_run
from fdht_hls.flow.record import inputs_digest, recorded_outputs
from fdht_models.artifacts import digest_file, write_bytes
from fdht_models.errors import ArtifactError
from fdht_models.files import require_regular_file

#: Bytes that results may take when they are unpacked: reports, a bitstream and an IP core.
_LARGEST = 2 << 30


def archive_bytes(plan: BuildPlan) -> bytes:
    """The plan as a `.tar.gz`: no times, no owners, sorted; equal plans give equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, data in plan.contents():
            entry = tarfile.TarInfo(f"{plan.name}/{path}")
            entry.size = len(data)
            entry.mode = 0o755 if path.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)


def write_archive(plan: BuildPlan, path: Path) -> None:
    """Writes the plan's archive, atomically.

    Raises:
        ArtifactError: it cannot be written.
    """
    write_bytes(path, archive_bytes(plan))


def import_results(plan: BuildPlan, archive: Path, directory: Path) -> None:
    """Brings the results of a plan that ran elsewhere into its directory, whole or not at all.

    Args:
        plan: as it is now.
        archive: `results.tar.gz`, as build.sh wrote it.
        directory: of the plan.

    Raises:
        ArtifactError: the archive is damaged, of another plan, or not finished.
        EqualityError, ToolError: a log in it tells of a failure.
    """
    with only_run(directory), tempfile.TemporaryDirectory(dir=directory) as temporary:
        found = Path(temporary)
        _unpack(archive, found)
        _check(plan, archive, found)
        plan.write(directory)
        for path in sorted(path for path in found.rglob("*") if path.is_file()):
            target = directory / path.relative_to(found)
            write_bytes(target, path.read_bytes())


def _unpack(archive: Path, directory: Path) -> None:
    require_regular_file(archive, error=ArtifactError)
    try:
        with tarfile.open(archive, "r:gz") as packed:
            entries = packed.getmembers()
            for entry in entries:
                parts = Path(entry.name).parts
                if not entry.isfile() or entry.name.startswith("/") or ".." in parts:
                    raise _damaged(archive, f"holds {entry.name!r}, which no build writes")
            if sum(entry.size for entry in entries) > _LARGEST:
                raise _damaged(archive, "is too large for results")
            for entry in entries:
                target = directory / entry.name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = packed.extractfile(entry)
                if source is None:  # cannot be: it is a file
                    raise _damaged(archive, f"has no data for {entry.name!r}")
                with source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile) as error:
        raise _damaged(archive, f"is damaged ({error})") from error
    except OSError as error:
        raise ArtifactError(
            f"cannot be unpacked ({error.strerror or error})", field=str(archive)
        ) from error


def _check(plan: BuildPlan, archive: Path, found: Path) -> None:
    if not (found / PLAN).is_file():
        raise _damaged(archive, f"holds no {PLAN}; it is not the {RESULTS} of a build")
    if (found / PLAN).read_bytes() != plan.document:
        raise ArtifactError(
            "is stale: it was built from another plan",
            field=str(archive),
            remedy="its model, schedule, board or options were others; build the archive of now",
        )
    _check_digests(archive, found)
    for step in plan.steps:
        if not (found / step.log).is_file() or not _is_done(plan, step.name, found):
            raise ArtifactError(
                f"is not finished: step {step.name} is missing",
                field=str(archive),
                remedy="run build.sh again; it goes on from there",
            )
        text = (found / step.log).read_text(errors="replace")
        plan.judge(Ended(step, found, text, 0, f"{step.log} in {archive}"))


def _is_done(plan: BuildPlan, name: str, found: Path) -> bool:
    """Has the step a record of these inputs, whose returned outputs are here and unchanged?"""
    step = plan.step(name)
    try:
        digests = recorded_outputs(step, found)
    except ArtifactError:
        return False
    first = (found / "records" / name).read_text().split("\n", 1)[0]
    if first != f"inputs {inputs_digest(plan, step, found)}":
        return False
    here = {path: found / path for path in digests if (found / path).is_file()}
    if any(not any(found.glob(pattern)) for pattern in step.returns):
        return False
    return all(digest_file(path) == digests[name] for name, path in here.items())


def _check_digests(archive: Path, found: Path) -> None:
    try:
        lines = (found / DIGESTS).read_text().splitlines()
        digests = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise _damaged(archive, f"has no list of digests ({error})") from error
    there = {str(path.relative_to(found)) for path in found.rglob("*") if path.is_file()} - {
        DIGESTS
    }
    for path in sorted(there | set(digests)):
        if path not in there:
            raise _damaged(archive, f"lacks {path}")
        if path not in digests or digest_file(found / path) != digests[path]:
            raise _damaged(archive, f"is damaged: {path} differs from its digest")


def _damaged(archive: Path, problem: str) -> ArtifactError:
    return ArtifactError(problem, field=str(archive), remedy="copy it again, or build again")

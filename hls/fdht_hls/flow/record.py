"""Records of finished steps: `inputs DIGEST`, then a line of `sha256sum` for each output.

build.sh writes the same, byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from fdht_hls.flow.build_plan import RECORDS, BuildPlan, Step
from fdht_models.artifacts import digest_file, write_bytes, write_text
from fdht_models.errors import ArtifactError


def inputs_digest(plan: BuildPlan, step: Step, directory: Path) -> str:
    """What a step reads: its files and the records of the steps before it."""
    digest = hashlib.sha256()
    for path in (step.script, *step.inputs):
        digest.update(f"{plan.digests[path]}  {path}\n".encode())
    for other in step.after:
        before = _path(directory, other)
        digest.update(before.read_bytes() if before.is_file() else b"")
    return digest.hexdigest()


def is_done(plan: BuildPlan, step: Step, directory: Path) -> bool:
    """Was the step done with these inputs, and are its outputs there?"""
    path = _path(directory, step.name)
    if not path.is_file():
        return False
    wanted = f"inputs {inputs_digest(plan, step, directory)}"
    if path.read_text(errors="replace").split("\n", 1)[0] != wanted:
        return False
    return all(_found(directory, pattern) for pattern in step.outputs)


def is_intact(plan: BuildPlan, step: Step, directory: Path) -> bool:
    """Are the outputs of a step that is done still what they were?"""
    try:
        digests = recorded_outputs(step, directory)
    except ArtifactError:
        return False
    own = (path for pattern in plan.own_outputs(step) for path in directory.glob(pattern))
    return all(digests.get(str(path.relative_to(directory))) == digest_file(path) for path in own)


def adopt(plan: BuildPlan, step: Step, source: Path, directory: Path, more: Iterable[str]) -> None:
    """Takes a step that was done in another directory: its outputs, its log and its record.

    Args:
        plan: of this directory.
        step: done in `source` with the same inputs.
        source: directory of the other plan.
        directory: of the plan.
        more: patterns of files that belong to the outputs, such as all of an IP core.

    Raises:
        ArtifactError: it was done with other inputs, or a file cannot be copied.
    """
    if not is_done(plan, step, source):
        raise ArtifactError(
            "changed meanwhile",
            field=f"step {step.name} in {source}",
            remedy="run the same command again",
        )
    found = [path for pattern in more for path in source.glob(pattern) if path.is_file()]
    for path in {*found, *all_outputs(step, source), source / step.log}:
        write_bytes(directory / path.relative_to(source), path.read_bytes())
    write_bytes(_path(directory, step.name), _path(source, step.name).read_bytes())


def all_outputs(step: Step, directory: Path) -> list[Path]:
    """Files that the step wrote, in the order of its patterns.

    Raises:
        ArtifactError: a pattern matches nothing.
    """
    found = []
    for pattern in step.outputs:
        matches = _found(directory, pattern)
        if not matches:
            raise ArtifactError(
                "was not written, or is empty",
                field=f"step {step.name}: {pattern}",
                remedy=f"see {step.log}",
            )
        found += matches
    return found


def forget(plan: BuildPlan, step: Step, directory: Path) -> None:
    """Removes a step's record and its outputs, lest old ones be taken for what it makes now."""
    _path(directory, step.name).unlink(missing_ok=True)
    for path in [path for pattern in plan.own_outputs(step) for path in directory.glob(pattern)]:
        if path.is_file():
            path.unlink()


def record(plan: BuildPlan, step: Step, directory: Path) -> None:
    """Notes that a step is done.

    Raises:
        ArtifactError: an output is missing, or the record cannot be written.
    """
    lines = [f"inputs {inputs_digest(plan, step, directory)}"]
    lines += [
        f"{digest_file(path)}  {path.relative_to(directory)}"
        for path in all_outputs(step, directory)
    ]
    write_text(_path(directory, step.name), "\n".join(lines) + "\n")


def record_digest(step: Step, directory: Path) -> str:
    """Digest of the record of a step that is done: of all that it read and wrote."""
    return digest_file(_path(directory, step.name))


def recorded_outputs(step: Step, directory: Path) -> dict[str, str]:
    """Digests of a step's outputs as they were recorded, by path.

    Raises:
        ArtifactError: there is no record, or it is damaged.
    """
    path = _path(directory, step.name)
    try:
        lines = path.read_text().splitlines()[1:]
        pairs = [line.split("  ", 1) for line in lines]
        return {name: digest for digest, name in pairs}
    except (OSError, ValueError) as error:
        raise ArtifactError(
            "is not finished, or its record is damaged",
            field=f"step {step.name}",
            remedy="run the build again; it goes on from there",
        ) from error


def _path(directory: Path, name: str) -> Path:
    return directory / RECORDS / name


def _found(directory: Path, pattern: str) -> list[Path]:
    # Sorted as the shell sorts in the C locale: by bytes.
    found = sorted(path for path in directory.glob(pattern) if path.exists())
    # A tool that ended half-way, or on a full disk, leaves empty files.
    return [] if any(path.is_file() and not path.stat().st_size for path in found) else found

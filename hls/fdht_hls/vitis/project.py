"""The project on disk that Vitis HLS works on: sources, settings, and where its results lie.

The tool writes absolute paths into its project, so that a project may not be moved while it is in
use. It therefore has one work directory for all its steps; what a step leaves behind that others
read is copied from there into the step's own stage directory.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jinja2

from fdht_models.artifacts import digest_file, digest_of, read_json, write_json, write_text
from fdht_models.errors import ArtifactError, ConfigError, near_matches
from fdht_models.records import load_record

#: What can be done, in the order in which it is done; the default leaves out `impl`.
STEPS = ("csim", "csynth", "cosim", "export", "impl")
DEFAULT_STEPS = STEPS[:-1]
#: Steps that read what `csynth` left in the work directory.
NEED_CSYNTH = ("cosim", "export", "impl")

#: As in build_core.tcl.
SCRIPT, SETTINGS, PROJECT, TOP = "build_core.tcl", "settings.tcl", "fdht_core", "fdht_lstm"
#: What the conversion was asked to synthesise for; see target.json.j2.
TARGET = "target.json"
#: Sources of the project, of which Vitis HLS needs all; its own headers replace `ap_types`.
_SOURCES = (SCRIPT, "fdht_testbench.cpp", "firmware", "tb_data")
_NOT_NEEDED = "ap_types"
_STATE, _LOCK = "state.json", ".lock"
_TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True)
class Target:
    """What to synthesise for.

    Args:
        part: device with package and speed grade, as Vivado names it.
        clock_period: in nanoseconds.
    """

    part: str
    clock_period: float

    def __post_init__(self) -> None:
        # The part becomes a word of a Tcl script and a directory's name.
        if not self.part.replace("-", "").replace("_", "").isalnum() or not self.part.isascii():
            raise ConfigError(
                "is not the name of a device",
                field="part",
                value=self.part,
                remedy="use a name such as xc7z020clg400-1",
            )
        if not 0.5 <= self.clock_period <= 1000:
            raise ConfigError(
                "must be between 0.5 and 1000 ns",
                field="clock_period",
                value=self.clock_period,
            )


def parse_steps(text: str) -> tuple[str, ...]:
    """Reads "csim,csynth" into steps, each once and in the order in which they are done.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STEPS:
            raise ConfigError(
                "is not a step", field="steps", value=name, remedy=near_matches(name, STEPS)
            )
    if not names:
        raise ConfigError("names no step", field="steps", remedy=f"use {','.join(STEPS)}")
    return tuple(step for step in STEPS if step in names)


def default_target(project: Path) -> Target:
    """The target that the project was converted for.

    Raises:
        ArtifactError: the project does not say it.
    """
    return load_record(Target, project / TARGET, remedy="run fdht convert again, or name a board")


def source_files(project: Path) -> Iterator[Path]:
    """Files of the project that the tool reads, sorted.

    Raises:
        ArtifactError: one of them is missing.
    """
    for name in _SOURCES:
        path = project / name
        if not path.exists():
            raise ArtifactError("is missing", field=str(path), remedy="run fdht convert again")
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (
            file
            for file in found
            if file.is_file() and _NOT_NEEDED not in file.relative_to(project).parts
        )


def source_digest(project: Path) -> str:
    """Digest of all that the tool reads: a pragma edited by hand counts, too."""
    return digest_of(
        {str(path.relative_to(project)): digest_file(path) for path in source_files(project)}
    )


@contextmanager
def only_run(directory: Path) -> Iterator[int]:
    """Keeps a second run out of a directory while the first one works there.

    Yields:
        The lock's file descriptor, for `run_logged`: a program that has it keeps the lock even if
        this process is killed and the program goes on.

    Raises:
        ArtifactError: there is another run, or the directory cannot be written.
    """
    path = directory / _LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise unwritable(directory, error) from error
    with lock:
        try:
            # Ends with the last process that has it, however that ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArtifactError(
                "is in use by another run",
                field=str(directory),
                remedy=f"wait for it, or end it (fuser {path} names its processes)",
            ) from error
        yield lock.fileno()


def unwritable(path: Path, error: OSError) -> ArtifactError:
    """An error about a directory that the tool or we cannot write."""
    return ArtifactError(
        f"cannot be written ({error.strerror or error})",
        field=str(path),
        remedy="free space or choose another directory with --build",
    )


class Workspace:
    """The directory in which the tool runs.

    Args:
        directory: is made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def prepare(self, project: Path, inputs: str) -> None:
        """Copies the sources, unless they are there already.

        Args:
            project: what `fdht convert` wrote.
            inputs: digest of sources and target; with others, everything starts anew.
        """
        if self._state().get("inputs") == inputs:
            return
        shutil.rmtree(self.directory, ignore_errors=True)
        for path in source_files(project):
            copy = self.directory / path.relative_to(project)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        self._set_state({"inputs": inputs})

    def write_settings(self, step: str, target: Target) -> None:
        """Writes the settings that build_core.tcl reads."""
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES), undefined=jinja2.StrictUndefined
        )
        text = environment.get_template("synthesis_settings.tcl.j2").render(
            steps=[step], part=target.part, clock_period=target.clock_period
        )
        write_text(self.directory / SETTINGS, text + "\n")

    def holds_csynth(self, rtl: str) -> bool:
        """Are the results of the `csynth` that made this RTL still in the project, and whole?"""
        return self._state().get("csynth") == rtl and self.rtl_digest() == rtl

    def set_csynth(self, rtl: str | None) -> None:
        """Notes the RTL of a `csynth` that is done; None while one is being run."""
        self._set_state({**self._state(), "csynth": rtl})

    def rtl_digest(self) -> str | None:
        """Digest of the Verilog that the tool made; None if there is none."""
        files = sorted(self._found("syn/verilog/*"))
        return digest_of({path.name: digest_file(path) for path in files}) if files else None

    def result(self, pattern: str, since: float) -> Path:
        """A file that a step should have written into the solution.

        Args:
            pattern: below the solution.
            since: seconds since the epoch when the step began.

        Raises:
            ArtifactError: there is none, or only one of an earlier run.
        """
        found = sorted(self._found(pattern), key=lambda path: path.stat().st_mtime)
        # File systems keep times in steps of up to two seconds.
        if not found or found[-1].stat().st_mtime < since - 2:
            raise ArtifactError(
                "was not written" if not found else "is from an earlier run",
                field=f"{self.directory / PROJECT}/*/{pattern}",
                remedy="read the log; if Vitis names its reports otherwise, please report it",
            )
        return found[-1]

    def _found(self, pattern: str) -> Iterable[Path]:
        return (self.directory / PROJECT).glob(f"*/{pattern}")

    def _state(self) -> dict[str, object]:
        path = self.directory / _STATE
        value = read_json(path) if path.exists() else {}
        return value if isinstance(value, dict) else {}

    def _set_state(self, value: dict[str, object]) -> None:
        write_json(self.directory / _STATE, value)

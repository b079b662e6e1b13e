"""A build plan: files, steps and digests, and nothing that runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fdht_hls.flow.failure import Ended, check_step
from fdht_hls.flow.needs import Need, shell_places
from fdht_models.arguments import seconds
from fdht_models.artifacts import canonical_json, write_bytes
from fdht_models.errors import ConfigError
from fdht_models.rendering import templates

#: The plan itself, the program that runs it by hand, and what that leaves.
PLAN, SCRIPT, RESULTS, DIGESTS = "plan.json", "build.sh", "results.tar.gz", "results.sha256"
#: What finds the programs, in the shell.
NEEDS = "needs.sh"
#: Digests of the plan's files, in the form of `sha256sum`.
PLAN_DIGESTS = "plan.sha256"
RECORDS, LOGS, STEPS = "records", "logs", "steps"
_SCHEMA = 1
#: Names go into shell scripts: nothing that a shell would read otherwise.
_NAME = re.compile(r"[\w][\w./+-]*")
_PATTERN = re.compile(r"[\w][\w./*+-]*")
_TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True)
class Phase:
    """A part of a step: the text that its log has when it begins, and what to call it."""

    text: str
    label: str


@dataclass(frozen=True)
class Step:
    """One run of a tool.

    Args:
        name: of the step.
        tool: that it runs, as people call it.
        needs: what must be there on the machine that runs it.
        timeout: seconds.
        inputs: files of the plan that it reads.
        after: steps whose results it reads.
        outputs: patterns of files that must be there afterwards, and not be empty.
        returns: patterns of files that belong to the result.
        success: texts that its log must have.
        phases: of its log, in their order.

    Raises:
        ConfigError: the time-out is no time.
    """

    name: str
    tool: str
    needs: tuple[Need, ...]
    timeout: float
    inputs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    success: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()

    def __post_init__(self) -> None:
        seconds(self.timeout, f"timeout of step {self.name}")

    @property
    def script(self) -> str:
        """The shell script of the plan that runs it."""
        return f"{STEPS}/{self.name}.sh"

    @property
    def log(self) -> str:
        """Where its output goes."""
        return f"{LOGS}/{self.name}.log"


@dataclass(frozen=True)
class BuildPlan:
    """Files and steps.

    Args:
        name: of the directory that an archive unpacks to.
        facts: what the plan is for: experiment, board, flow, core, design id.
        files: contents by path.
        steps: in their order.
        judge: refuses a step that did not do its work, as `failure.check_step` does.

    Raises:
        ConfigError: a name that a shell would misread, an unknown input, or an unknown step.
    """

    name: str
    facts: Mapping[str, Any]
    files: Mapping[str, bytes] = field(repr=False)
    steps: tuple[Step, ...]
    judge: Callable[[Ended], None] = field(default=check_step, repr=False, compare=False)

    def __post_init__(self) -> None:
        known: set[str] = set()
        for path in (self.name, *self.files):
            if not _NAME.fullmatch(path) or ".." in path.split("/"):
                raise ConfigError("cannot be a file of a plan", field="file", value=path)
        for step in self.steps:
            for pattern in (step.name, *step.outputs, *step.returns):
                if not _PATTERN.fullmatch(pattern) or ".." in pattern.split("/"):
                    raise ConfigError(
                        "cannot be in a plan", field=f"step {step.name}", value=pattern
                    )
            for path in (step.script, *step.inputs):
                if path not in self.files:
                    raise ConfigError(
                        "is not in the plan", field=f"step {step.name}: inputs", value=path
                    )
            for other in step.after:
                if other not in known:
                    raise ConfigError(
                        "is no step before it", field=f"step {step.name}: after", value=other
                    )
            known.add(step.name)

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each file, sorted by path."""
        return {path: hashlib.sha256(self.files[path]).hexdigest() for path in sorted(self.files)}

    @cached_property
    def document(self) -> bytes:
        """plan.json: equal plans have equal bytes."""
        value = {
            "schema": _SCHEMA,
            "name": self.name,
            "facts": dict(self.facts),
            "files": self.digests,
            "steps": [asdict(step) for step in self.steps],
        }
        return canonical_json(value).encode() + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 of `document`."""
        return hashlib.sha256(self.document).hexdigest()

    @property
    def needs(self) -> tuple[Need, ...]:
        """What all steps need, each once, in their order."""
        return tuple({need.key: need for step in self.steps for need in step.needs}.values())

    def step(self, name: str) -> Step:
        """A step by its name.

        Raises:
            KeyError: there is none.
        """
        return {step.name: step for step in self.steps}[name]

    def own_outputs(self, step: Step) -> tuple[str, ...]:
        """Patterns of a step's outputs that no other step goes on with and writes again."""
        others = {pattern for one in self.steps if one != step for pattern in one.outputs}
        return tuple(pattern for pattern in step.outputs if pattern not in others)

    def part(self, names: Container[str]) -> BuildPlan:
        """The plan of some steps and of the files that they read.

        Raises:
            ConfigError: a step lacks one before it.
        """
        steps = tuple(step for step in self.steps if step.name in names)
        read = {path for step in steps for path in (step.script, *step.inputs)}
        files = {path: data for path, data in self.files.items() if path in read}
        return replace(self, files=files, steps=steps)

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """All files of the plan's directory, sorted: its own, and those that describe it."""
        digests = "".join(f"{digest}  {path}\n" for path, digest in self.digests.items())
        made = {
            PLAN: self.document,
            SCRIPT: self._rendered(SCRIPT),
            NEEDS: self._rendered(NEEDS),
            PLAN_DIGESTS: digests.encode(),
        }
        everything = {**self.files, **made}
        yield from ((path, everything[path]) for path in sorted(everything))

    def write(self, directory: Path) -> None:
        """Writes all files into a directory, each atomically; others there are left alone.

        Raises:
            ArtifactError: a file cannot be written.
        """
        for path, data in self.contents():
            target = directory / path
            # An unchanged file keeps its time, by which tools know what is new.
            if not target.is_file() or target.read_bytes() != data:
                write_bytes(target, data)

    def _rendered(self, name: str) -> bytes:
        text = (
            templates(_TEMPLATES)
            .get_template(f"{name}.j2")
            .render(
                plan=self,
                needs=[(need, shell_places(need)) for need in self.needs],
                names={
                    "plan": PLAN,
                    "digests": PLAN_DIGESTS,
                    "results": RESULTS,
                    "result_digests": DIGESTS,
                    "records": RECORDS,
                    "logs": LOGS,
                    "needs": NEEDS,
                },
            )
        )
        return text.encode()


def plan_name(experiment: str, board: str, variant: str) -> str:
    """The name of a plan: an experiment's as a part of a directory's that every shell takes."""
    plain = "".join(character if character.isalnum() else "-" for character in experiment)
    return f"{plain}-{board}-{variant}"

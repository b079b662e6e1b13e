"""What an interrupted conversion has done so far, so that the next one goes on from there.

Beside the stage directory lies a hidden one: the compiled core, written whole or not at all, and
the comparisons that are done. It is for one set of inputs; a conversion of others begins anew, and
one that ends removes it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_hls.proof import Comparison
from fdht_models.artifacts import canonical_json, is_current, new_stage, write_json
from fdht_models.errors import ArtifactError
from fdht_models.records import load_record

_CORE, _COMPARISONS = "core", "comparisons.json"


@dataclass(frozen=True)
class _Kept:
    """The file of comparisons."""

    inputs: Mapping[str, Any]
    done: Mapping[str, Comparison]


@dataclass(frozen=True)
class Unfinished:
    """The directory of what is done.

    Args:
        directory: where.
        inputs: digests of all that the conversion depends on.
    """

    directory: Path
    inputs: Mapping[str, Any]

    def core(self, make: Callable[[Path], None]) -> Path:
        """The directory of the compiled core, made unless it is there.

        Args:
            make: writes it into an empty directory.
        """
        core = self.directory / _CORE
        if not is_current(core, _CORE, self.inputs):
            (self.directory / _COMPARISONS).unlink(missing_ok=True)
            with new_stage(core, _CORE, self.inputs) as (temporary, _):
                make(temporary)
        return core

    def comparisons(self) -> dict[str, Comparison]:
        """Those that are done with this core, by name."""
        try:
            kept = load_record(_Kept, self.directory / _COMPARISONS, remedy="convert again")
        except ArtifactError:
            return {}  # none yet, or damaged: they are made again
        same = canonical_json(kept.inputs) == canonical_json(dict(self.inputs))
        return dict(kept.done) if same else {}

    def keep(self, done: Mapping[str, Comparison]) -> None:
        """Keeps comparisons."""
        value = {name: comparison.to_json() for name, comparison in done.items()}
        write_json(self.directory / _COMPARISONS, {"inputs": dict(self.inputs), "done": value})

    def remove(self) -> None:
        """Removes what is kept: the conversion is done, or its core is wrong."""
        shutil.rmtree(self.directory, ignore_errors=True)


def unfinished(directory: Path, inputs: Mapping[str, Any]) -> Unfinished:
    """What is kept of a conversion into a stage directory."""
    return Unfinished(directory.with_name(f".{directory.name}-unfinished"), inputs)

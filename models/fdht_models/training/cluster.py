"""Which processes train together: what is asked for, and the cluster of a TF_CONFIG.

Needs no TensorFlow, so that a mistake is told before it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from fdht_models.documents import parse_json
from fdht_models.errors import ConfigError, require_known
from fdht_models.records import read_record

LOCAL, WORKERS = "local", "workers"


def check_distribution(distribute: str | None) -> None:
    """Refuses a kind of distribution that there is not, or a TF_CONFIG that it needs.

    Raises:
        ConfigError: it is neither None, "local" nor "workers", or TF_CONFIG cannot be used.
    """
    if distribute == WORKERS:
        read_cluster(os.environ.get("TF_CONFIG", ""))
    elif distribute is not None:
        require_known(distribute, (LOCAL, WORKERS), "distribute", "is no kind of distribution")


@dataclass(frozen=True)
class _Task:
    type: str
    index: int


@dataclass(frozen=True)
class _Config:
    """A TF_CONFIG; what other programs keep there beside these two is theirs."""

    cluster: Mapping[str, tuple[str, ...]]
    task: _Task


def _config(text: str) -> _Config:
    value = parse_json(text, "TF_CONFIG", error=ConfigError, remedy="see docs/training.md")
    if not isinstance(value, Mapping):
        raise ConfigError("must be a table")
    own = {key: value[key] for key in ("cluster", "task") if key in value}
    return read_record(_Config, own)


def read_cluster(text: str) -> tuple[int, int]:
    """(this worker, workers) of a TF_CONFIG.

    Raises:
        ConfigError: it is missing, no JSON, or names no cluster of workers and a task in it.
    """
    if not text:
        raise _refusal("is missing: which workers there are, and which one this is", None)
    try:
        config = _config(text)
    except ConfigError as error:
        raise _refusal(f"does not describe a cluster ({error})", text) from error
    kind, index = config.task.type, config.task.index
    sizes = {name: len(addresses) for name, addresses in config.cluster.items()}
    if not set(sizes) <= {"chief", "worker"} or not sizes or sizes.get("chief", 1) != 1:
        raise _refusal("may have workers and one chief only", text)
    if not 0 <= index < sizes.get(kind, 0):
        raise _refusal(f"its cluster has no task {kind} {index}", text)
    first = sizes.get("chief", 0) if kind == "worker" else 0
    return first + index, sum(sizes.values())


def addresses_of(text: str) -> list[str]:
    """Addresses "host:port" of a TF_CONFIG's workers in the order of their numbers."""
    cluster = _config(text).cluster
    return [address for kind in ("chief", "worker") for address in cluster.get(kind, ())]


def _refusal(problem: str, value: str | None) -> ConfigError:
    example = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    return ConfigError(problem, field="TF_CONFIG", value=value, remedy=f"set it to {example}")

"""What a user asks for: one set in one folder, sampled and divided in one way."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fdht_models.data.folders.catalogue import get_folder_set
from fdht_models.data.folders.types import (
    GROUP_DISJOINT,
    PUBLISHED,
    SPEECH,
    SPIKES,
    VECTORS,
    VIDEO,
    FolderSet,
)
from fdht_models.data.folders.vectors import FULL_SCALE, LENGTH
from fdht_models.errors import ConfigError, near_matches
from fdht_models.features import FEATURES, get_feature
from fdht_models.settings import number, text, whole

#: Milliseconds of a frame of spikes: 100 frames hold the longest digit, 1.4 s.
SPIKE_FRAME_MS = 14.0


@dataclass(frozen=True)
class FolderRequest:
    """A set in a user's folder, and what to make of it; None takes the set's own default.

    Attributes:
        name: a key of `FOLDER_SETS`.
        root: the folder that the set was unpacked to.
        protocol: of video and CNN features, which frames: "six" (random ones), "tt_rnn" (all),
            "uniform".
        steps: frames a clip as the network sees them.
        feature: of video: a key of `fdht_models.features.FEATURES`; "pixels" by default.
        height: of video, rows.
        width: of video, columns.
        fold_rule: "group-disjoint", "published", or "leaky-per-clip", which puts clips of one
            video into both splits and is never a default.
        folds: into how many parts the clips are divided.
        fold: which part is the test split, from 0.
        seed: of random frames and of random folds.
        frame_ms: of spikes, milliseconds a frame.
        bands: of speech, mel filters.
        stack: of speech, how many frames of 10 ms make one frame as the network sees it.
        unreadable_share: how large a part of the clips may be unreadable, from 0 to 1, before
            the folder is refused.
    """

    name: str
    root: Path
    protocol: str | None = None
    steps: int | None = None
    feature: str | None = None
    height: int = 120
    width: int = 160
    fold_rule: str | None = None
    folds: int | None = None
    fold: int = 0
    seed: int = 0
    frame_ms: float = SPIKE_FRAME_MS
    bands: int = 40
    stack: int = 1
    unreadable_share: float = 0.25

    @property
    def folder_set(self) -> FolderSet:
        """The published set."""
        return get_folder_set(self.name)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame as the network sees it: (H, W, 3) of video, otherwise (inputs,)."""
        kind = self.folder_set.kind
        if kind == VIDEO:
            return (self.height, self.width, 3)
        lengths = {SPIKES: 700, SPEECH: self.bands * self.stack, VECTORS: LENGTH}
        return (lengths[kind],)

    @property
    def inputs(self) -> int:
        """Values in a frame as the network sees it."""
        return math.prod(self.frame_shape)

    def complete(self) -> FolderRequest:
        """The same request, checked, with every default written out.

        Raises:
            ConfigError: a value that cannot be used, with its name and a remedy.
        """
        known = self.folder_set
        for field, check in _CHECKS.items():
            check(getattr(self, field), field)
        for field, check in _OPTIONAL.items():
            if getattr(self, field) is not None:
                check(getattr(self, field), field)
        if not isinstance(self.root, str | Path) or not str(self.root):
            raise ConfigError("must be a folder", field="root", value=self.root)
        protocol = _choose(self.protocol, known.protocols, "protocol", known)
        rule = _choose(self.fold_rule, known.rules, "fold_rule", known)
        folds = self._folds(known, rule)
        if self.fold >= folds:
            raise ConfigError(
                f"there are {folds} folds, numbered from 0",
                field="fold",
                value=self.fold,
                remedy=f"choose 0 to {folds - 1}",
            )
        return replace(
            self,
            root=Path(self.root),
            protocol=protocol,
            steps=self.steps if self.steps is not None else known.steps[protocol],
            feature=self._feature(known),
            fold_rule=rule,
            folds=folds,
        )

    def _folds(self, known: FolderSet, rule: str) -> int:
        if rule != PUBLISHED:
            folds = known.folds if self.folds is None else self.folds
            if folds < 2:
                raise ConfigError(
                    "one fold leaves nothing to train on",
                    field="folds",
                    value=folds,
                    remedy="choose 2 or more",
                )
            return folds
        if self.folds not in (None, known.published_folds):
            raise ConfigError(
                f"{known.title} has {known.published_folds} published divisions",
                field="folds",
                value=self.folds,
                remedy=f"leave it out, or set fold_rule to one of {', '.join(known.rules[1:])}",
            )
        return known.published_folds

    def _feature(self, known: FolderSet) -> str | None:
        if known.kind != VIDEO:
            if self.feature is not None:
                raise ConfigError(
                    f"{known.title} is not video", field="feature", value=self.feature,
                    remedy="leave it out",
                )  # fmt: skip
            return None
        feature = "pixels" if self.feature is None else self.feature
        if feature not in FEATURES:
            get_feature(str(feature))  # raises, with near matches
        return feature

    def decoding(self) -> dict[str, Any]:
        """All that the bytes of a decoded clip depend on besides its file; JSON-serialisable."""
        known = self.folder_set
        settings: dict[str, Any] = {"kind": known.kind, "protocol": self.protocol}
        settings["steps"] = self.steps
        if known.kind == VIDEO:
            settings |= {"feature": self.feature, "height": self.height, "width": self.width}
            settings |= {"stride": known.stride} if self.protocol == "tt_rnn" else {}
        if known.kind in (VIDEO, VECTORS):
            settings |= {"seed": self.seed} if self.protocol == "six" else {}
        if known.kind == SPIKES:
            settings |= {"frame_ms": float(self.frame_ms)}
        if known.kind == SPEECH:
            settings |= {"bands": self.bands, "stack": self.stack}
        if known.kind == VECTORS:
            settings |= {"full_scale": FULL_SCALE}
        return settings


def _choose(value: str | None, choices: tuple[str, ...], field: str, known: FolderSet) -> str:
    if value is None:
        return choices[0]
    if value not in choices:
        why = f"{known.title} has no such {field.replace('_', ' ')}"
        if value == GROUP_DISJOINT:
            why = f"the names of {known.title}'s files do not say which clips belong together"
        raise ConfigError(why, field=field, value=value, remedy=near_matches(str(value), choices))
    return value


def _share(value: object, path: str) -> float:
    return 0.0 if value == 0 and not isinstance(value, bool) else number(0, 1)(value, path)


_CHECKS: dict[str, Callable[[object, str], object]] = {
    "name": text(),
    "height": whole(1, 4096),
    "width": whole(1, 4096),
    "fold": whole(0, 1000),
    "seed": whole(0, 2**31 - 1),
    "frame_ms": number(0, 10_000),
    "bands": whole(1, 256),
    "stack": whole(1, 1000),
    "unreadable_share": _share,
}
_OPTIONAL: dict[str, Callable[[object, str], object]] = {
    "steps": whole(1, 10_000),
    "folds": whole(1, 1000),
}

"""Checks of what only a user's own clips have in a request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fdht_models.data.folders.listing import ARRAYS, GROUP_DISJOINT, SOUND, VIDEO
from fdht_models.errors import ConfigError, require_known
from fdht_models.settings import text

#: What a user's own clips may be; the first is the default.
KINDS = (VIDEO, SOUND, ARRAYS)
#: The loudness that recordings are brought to, in decibels of a full-scale sine's, the floor that
#: becomes the code 0, and how far below the loudest frame silence begins, unless others are asked
#: for. The floor lies 40 dB below the loudness: deeper down is more of the room than of the voice.
LEVEL, FLOOR, TRIM = -20.0, -60.0, 30.0

_LONGEST_NAME = 200  # characters


def names(least: int) -> Callable[[object, str], tuple[str, ...]]:
    """A check for lists of at least so many different names; gives a tuple."""

    def check(value: object, path: str) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) < least:
            raise ConfigError(
                f"must be a list of at least {least} name{'s' if least > 1 else ''}",
                field=path,
                value=value,
                remedy="write them in quotes: ['a', 'b']",
            )
        found = tuple(text()(item, f"{path}[{place}]") for place, item in enumerate(value))
        for place, name in enumerate(found):
            if name in found[:place] or len(name) > _LONGEST_NAME:
                why = "is there twice" if name in found[:place] else "is too long"
                raise ConfigError(
                    why, field=f"{path}[{place}]", value=name, remedy="take it out, or shorten it"
                )
        return found

    return check


#: Keys that only own clips have.
_OWN_KEYS = ("kind", "pattern", "classes", "inputs", "full_scale", "level", "floor", "trim")
#: Keys that a kind of clips has and others have not; of `[data]`, whose keys are None if not set.
_KEYS_OF = {
    "height": VIDEO,
    "width": VIDEO,
    "feature": VIDEO,
    "dead_zone": VIDEO,
    "bands": SOUND,
    "stack": SOUND,
    "level": SOUND,
    "floor": SOUND,
    "trim": SOUND,
    "inputs": ARRAYS,
    "full_scale": ARRAYS,
}
_NEVER = ("frame_ms",)


def refuse_of_others(name: str, given: Sequence[str]) -> None:
    """Refuses keys of a user's own clips for a published set.

    Raises:
        ConfigError: one of them is given.
    """
    for key in given:
        if key in _OWN_KEYS:
            raise ConfigError(
                f"has no effect on '{name}', which is published as it is",
                field=key,
                remedy="leave it out, or set data.set = 'folders'",
            )


def refuse_of_other_kinds(kind: str, given: Sequence[str]) -> None:
    """Refuses keys that have no effect on clips of a kind, so that nobody waits for one.

    Raises:
        ConfigError: one of them is given, or there is no such kind.
    """
    require_known(kind, KINDS, "kind")
    for key in given:
        if key in _NEVER or _KEYS_OF.get(key, kind) != kind:
            raise ConfigError(
                f"has no effect on clips of the kind '{kind}'", field=key, remedy="leave it out"
            )


def check_test_groups(rule: str, folds: int | None, fold: int) -> None:
    """Checks what goes with named test groups.

    Raises:
        ConfigError: another rule, or folds, are asked for as well.
    """
    if rule != GROUP_DISJOINT:
        raise ConfigError(
            "cannot go with test_groups, which divide by group",
            field="fold_rule",
            value=rule,
            remedy="leave out one of them",
        )
    for field, value, default in (("folds", folds, (None, 1)), ("fold", fold, (0,))):
        if value not in default:
            raise ConfigError(
                "cannot go with test_groups, which are the one division",
                field=field,
                value=value,
                remedy="leave out one of them",
            )

"""Which logits of a run are held against the integer reference: what `--verify` says.

The reference computes on the host what the core computes. So it runs where a run is a test - on a
simulated board - and elsewhere only where somebody asks for it. A sequence, from one reset of the
state to the next, is compared as a whole or not at all: the reference has a state, too.
"""

from __future__ import annotations

import platform
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fdht_host.answers import ClipAnswer
from fdht_models.errors import ConfigError

ALL, NONE = "all", "none"
#: How Linux calls the processors of the boards.
_ARM = ("arm", "aarch64")


@dataclass(frozen=True)
class Verification:
    """Which sequences are compared.

    Attributes:
        share: of the sequences: 1 compares all, 0 none; between, each is drawn, and the first one
            of each source is compared whatever the draw.
        seed: of the draw.
        reason: why it is so where nobody said it; "" where somebody did.
    """

    share: float
    seed: int = 0
    reason: str = ""

    @property
    def asked(self) -> str:
        """As `--verify` has it."""
        return {0.0: NONE, 1.0: ALL}.get(self.share, f"{self.share:g}")

    def takes(self, source: str, number: int) -> bool:
        """True if a sequence is compared; the same one each time.

        Args:
            source: as it was named.
            number: of the sequence in it, from 0.
        """
        if self.share in (0.0, 1.0):
            return self.share == 1.0
        drawn = random.Random(f"{self.seed}/{source}/{number}").random()
        return not number or drawn < self.share

    def to_json(self, answers: Iterable[ClipAnswer]) -> dict[str, Any]:
        """What was compared, and what was not, for the report.

        Args:
            answers: of all clips that were run.
        """
        every = list(answers)
        blocks = [block for answer in every for block in answer.blocks]
        found = {
            "asked": self.asked,
            "by_default": self.reason,
            "seed": self.seed if 0 < self.share < 1 else None,
            "clips": len(every),
            "clips_with_comparisons": sum(answer.compared > 0 for answer in every),
            "blocks": len(blocks),
            "blocks_verified": sum(block.verified for block in blocks),
        }
        return {**found, "statement": _statement(found)}


def _statement(found: dict[str, Any]) -> str:
    """The same in a sentence."""
    done, every = found["blocks_verified"], found["blocks"]
    why = f" ({found['by_default']})" if found["by_default"] else ""
    asked = f"--verify {found['asked']}{why}"
    if not done:
        return f"not verified: no result was compared with the reference, {asked}"
    if done == every:
        return f"verified: every result was compared with the reference, {asked}"
    return (
        f"verified in part: {done:,} of {every:,} blocks were compared with the reference and "
        f"{every - done:,} were not, {asked}, seed {found['seed']}"
    )


def verification_of(given: str | None, seed: int | None, *, simulated: bool) -> Verification:
    """What `--verify` and `--verify-seed` mean.

    Args:
        given: "all", "none", or a share between 0 and 1; None: all on a simulated board, none on a
            real one and on an ARM, whose time belongs to the frames.
        seed: of a share; None: 0.
        simulated: the board is.

    Raises:
        ConfigError: it is nothing of these, or a seed has no effect.
    """
    if given is None:
        on_arm = platform.machine().lower().startswith(_ARM)
        where = "on an ARM" if on_arm else "on a simulated board"
        found = (
            Verification(1.0, reason=f"the default {where}")
            if simulated and not on_arm
            else Verification(0.0, reason=f"the default {where if simulated else 'on a board'}")
        )
    else:
        found = Verification(_share(given), seed or 0)
    if seed is not None and found.share in (0.0, 1.0):
        raise ConfigError(
            f"has no effect on --verify {found.asked}, which draws nothing",
            field="verify-seed",
            value=seed,
            remedy="leave it out, or give a share, as --verify 0.1",
        )
    return found


def _share(given: str) -> float:
    try:
        share = {ALL: 1.0, NONE: 0.0}[given] if given in (ALL, NONE) else float(given)
    except ValueError:
        share = float("nan")
    if not 0 <= share <= 1 or (share == 0 and given != NONE):
        raise ConfigError(
            "is neither all, none, nor a share above 0 and up to 1",
            field="verify",
            value=given,
            remedy="use --verify all, none, or for example 0.1",
        )
    return share

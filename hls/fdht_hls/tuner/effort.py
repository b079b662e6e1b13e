"""What a search may take, what it had to leave out, and how it tells how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from fdht_models.errors import ConfigError


@dataclass
class Effort:
    """The effort of one call of the tuner, which may search several times.

    Args:
        seconds: that all may take; None: any.
        show: called with what is being done, for people.
        left_out: what was not considered, in the order in which it was met.
    """

    seconds: float | None = None
    show: Callable[[str], object] = lambda text: None
    left_out: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def leave_out(self, text: str) -> None:
        """Notes something that is not considered, once."""
        if text not in self.left_out:
            self.left_out.append(text)

    def check(self) -> None:
        """Ends what takes too long.

        Raises:
            ConfigError: the time is over.
        """
        if self.seconds is not None and time.monotonic() - self.started > self.seconds:
            raise ConfigError(
                "was over before the search had ended",
                field="time-limit",
                value=self.seconds,
                remedy="allow more seconds, or ask for more --frames-per-second: fewer schedules "
                "are fast enough then",
            )

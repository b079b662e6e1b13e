"""What all pictures of the project have in common. Needs matplotlib, inside its functions only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Names of classes, experiments and boards are shown as they are: without this, matplotlib reads
#: what stands between two dollar signs as mathematics, and fails where it is none.
_STYLE = {"text.usetex": False, "axes.formatter.use_mathtext": False}
#: Since matplotlib 3.6; before, see `plain_text`.
_NO_MATHEMATICS = "text.parse_math"


@contextmanager
def drawing(**style: Any) -> Iterator[None]:
    """Sets how matplotlib draws; a figure is made, drawn and saved inside.

    Args:
        style: further settings by matplotlib's names, as `**{"font.size": 9}`.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    plain = {_NO_MATHEMATICS: False} if _NO_MATHEMATICS in matplotlib.rcParams else {}
    with matplotlib.rc_context({**_STYLE, **plain, **style}):
        yield


def plain_text(text: str) -> str:
    """A name of the user's as matplotlib shows it unchanged.

    Before 3.6, which PYNQ's images have, it takes dollar signs for mathematics unless they are
    escaped; from then on `drawing` says that there is none.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib

    return text if _NO_MATHEMATICS in matplotlib.rcParams else text.replace("$", r"\$")


def plain_logarithms(axis: Any) -> None:
    """Labels a logarithmic axis with plain numbers; matplotlib's own labels are mathematics."""
    from matplotlib.ticker import LogFormatter

    class Plain(LogFormatter):
        """Shows the ticks that matplotlib would label."""

        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:,.10g}" if super().__call__(x, pos) else ""

    axis.set_major_formatter(Plain())
    axis.set_minor_formatter(Plain(labelOnlyBase=False))

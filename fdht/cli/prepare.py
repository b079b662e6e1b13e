"""Commands that come first: what is installed, and which experiments there are."""

from __future__ import annotations

from fdht.cli.options import AsJson
from fdht.cli.output import tell


def doctor(as_json: AsJson = False) -> None:
    """What is installed, what each flow lacks, and how to get it."""
    from fdht_overlays.doctor import examine, lines

    tell(examine(), as_json, lines)


def zoo(as_json: AsJson = False) -> None:
    """Every experiment: format, shapes, parameters, ratios, MACs, the published figure."""
    from fdht_models.zoo import rows, table

    tell(rows(), as_json, table)

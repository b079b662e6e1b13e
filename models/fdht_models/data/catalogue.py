"""All data sets by name."""

from __future__ import annotations

from fdht_models.data.clip_sets import DataSet
from fdht_models.data.folders.sets import FOLDER_SETS
from fdht_models.data.motion import MOTION
from fdht_models.data.watch import WATCH
from fdht_models.errors import ConfigError, require_known

DATASETS: dict[str, DataSet] = {data_set.name: data_set for data_set in (MOTION, WATCH)}


def get_dataset(name: str) -> DataSet:
    """Returns the data set called `name`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name in FOLDER_SETS:
        raise ConfigError(
            f"{FOLDER_SETS[name].title} is read from a folder of yours",
            field="data",
            value=name,
            remedy="say in which one it lies (root), as docs/datasets.md shows",
        )
    require_known(name, (*DATASETS, *FOLDER_SETS), "data", "there is no such data set")
    return DATASETS[name]

"""Published data sets that users bring in folders of their own.

    from fdht_models.data.folders import FolderRequest, load_folder_clips
    request = FolderRequest("ucf11", Path("UCF11_updated_mpg"), protocol="six")
    train = load_folder_clips(request, "train", cache=Path("build/data"))

How to lay out each set, which frames are taken and how clips are divided: docs/datasets.md. Needs
numpy, PyAV for video and speech, and h5py for spikes; never TensorFlow.
"""

from fdht_models.data.folders.folder_clips import (
    folder_digest,
    list_folder,
    load_folder,
    load_folder_clips,
)
from fdht_models.data.folders.listing import (
    Clip,
    Listing,
    Problem,
)
from fdht_models.data.folders.request import FolderRequest
from fdht_models.data.folders.sets import FOLDER_SETS, get_folder_set

__all__ = [
    "FOLDER_SETS",
    "Clip",
    "FolderRequest",
    "Listing",
    "Problem",
    "folder_digest",
    "get_folder_set",
    "list_folder",
    "load_folder",
    "load_folder_clips",
]

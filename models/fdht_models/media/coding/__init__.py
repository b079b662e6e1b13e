"""What coded pictures say of themselves in their first bytes, before they are decoded.

Key flags and time stamps of containers are often wrong. So a decoder may start in the middle, or
leave a picture out, only where the coded pictures themselves say that the others come out the same:
each coding here knows what its standard promises, and what FFmpeg's decoder makes of it. Anything
that is not known to be harmless makes a stream unproven, and then all of it is decoded.

- `types`: what is known of a picture, and what a coding must do.
- `bits`: reading bits and the NAL units of H.264 and H.265.
- `h264`, `hevc`, `mpeg`, `vpx`, `av1`, `intra`: the codings.
"""

from fdht_models.media.coding.coded_picture import CodedPicture, Inspector, Unproven
from fdht_models.media.coding.codings import inspector_for

__all__ = ["CodedPicture", "Inspector", "Unproven", "inspector_for"]

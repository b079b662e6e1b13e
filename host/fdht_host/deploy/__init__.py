"""An overlay and this package onto a board, by SSH: see `deploying`."""

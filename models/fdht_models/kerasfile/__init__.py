"""Models that Keras saved, read as data: the configuration is parsed, weights come from HDF5.

    layer = read_model(Path("dense.keras"), None, 11)

Keras itself is not called: an old `.h5` file can hold code (the function of a `Lambda` layer),
which Keras 2 runs whatever its safe mode says. Here nothing in a file is run, no object is made of
a name in it, no link out of it is followed. Files of Keras 2 and of Keras 3 are read alike.

`saved_files` opens a file, `configuration` makes a graph of the calls of layers, `frame_maps` knows
what a trained layer does, `surroundings` follows the graph from the recurrent layer both ways,
`layer_weights` finds arrays. Needs no TensorFlow.
"""

from fdht_models.kerasfile.model_reader import SavedLayer, read_model

__all__ = ["SavedLayer", "read_model"]

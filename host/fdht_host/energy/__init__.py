"""Energy per frame: idle and active windows, integrated, with an uncertainty - or no figure."""

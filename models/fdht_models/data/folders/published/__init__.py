"""The published sets: how each is laid out, and how its files tell class, source and split."""

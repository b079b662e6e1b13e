"""Clips of a user's own: any folder, with classes from folders, a pattern or a table."""

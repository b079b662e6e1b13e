"""What a folder holds and what became of it, told to people: before and after decoding."""

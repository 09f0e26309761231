"""A table -> the places where it is read."""

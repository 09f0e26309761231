"""One pure function per step of a cell."""

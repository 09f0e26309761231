"""Arrays -> weights."""

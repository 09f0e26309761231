"""From the bytes of a file to columns of ids, times and values."""

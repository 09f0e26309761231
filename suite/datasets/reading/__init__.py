"""Reading of files: formats, ids, times and values."""

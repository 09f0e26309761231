"""Building blocks of models: layers, columns, normalizers and text encoders."""

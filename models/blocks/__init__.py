"""Layers, columns, normalizers and text encoders that models are built of."""

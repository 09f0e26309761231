"""Synthetic worlds in the exact files of real datasets."""

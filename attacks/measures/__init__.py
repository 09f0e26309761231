"""Ranks -> figures with intervals."""

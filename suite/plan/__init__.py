"""Cells -> steps with digests."""

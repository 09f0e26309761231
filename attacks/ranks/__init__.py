"""Exact ranks, neighbors and user means."""

"""Tuning a suite's model."""

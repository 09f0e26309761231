"""Hyperparameter tuning of a suite's model."""

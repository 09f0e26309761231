"""Hyperparameter search; the only package that imports ray.tune."""

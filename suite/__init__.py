"""Orchestration: the only package that knows models, attacks and tuning."""

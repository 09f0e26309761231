"""Execution of steps as Ray tasks."""

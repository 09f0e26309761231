"""Steps -> Ray tasks."""

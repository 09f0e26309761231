"""Engagement logs in their native files, read into the canonical tables."""

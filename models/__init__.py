"""Engagement models: score an event, and expose the vector that would be released."""

"""Engagement models, which score events and compute the vectors to release."""

"""Tweets and who engaged with them: the official files, their windows and their features."""

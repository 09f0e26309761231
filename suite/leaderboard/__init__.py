"""The leaderboard: one table of all results of a suite."""

"""Publication of leaderboards: files, HTML report, MLflow."""

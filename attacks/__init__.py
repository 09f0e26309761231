"""Re-identification attacks on released vectors: exact ranks, metrics, intervals."""

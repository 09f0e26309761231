"""Results -> one table."""

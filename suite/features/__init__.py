"""Features: from canonical tables to arrays."""

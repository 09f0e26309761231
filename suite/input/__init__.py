"""User input: suite files as plain YAML, and messages about invalid values."""

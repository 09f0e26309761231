"""What people write: suite files as plain YAML, and what they are told of wrong values."""

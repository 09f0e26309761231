"""Results by digest, written whole."""

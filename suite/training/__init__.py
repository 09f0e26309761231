"""Training: from feature arrays to fitted models."""

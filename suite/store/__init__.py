"""Results addressed by digest and written atomically."""

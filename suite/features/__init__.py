"""Canonical tables -> the arrays that models read."""

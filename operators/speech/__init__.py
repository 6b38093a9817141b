"""Operators between sound and language."""

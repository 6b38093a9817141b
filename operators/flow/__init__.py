"""Operators that route, gather and time packets, whatever they carry."""

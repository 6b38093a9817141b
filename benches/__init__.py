"""Benches: one question each, ours and peers side by side; see `python -m benches list`."""

"""Start and stop stages, each executor in one kind of place."""

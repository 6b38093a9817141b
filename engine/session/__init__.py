"""A running plan, owner of everything it started."""

"""Bounded links between two stages: one contract, within a process and across processes."""

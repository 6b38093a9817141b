"""Looking over a machine and an installation: what works, what does not, and what to do about it.

What `remotemedia doctor` shows. Source: FR-004, FR-010, SC-006.
"""

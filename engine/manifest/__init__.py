"""The document a pipeline is written in: its model, its limits, how it is read.

Pure but for reading a file that was named. Source: FR-001, FR-006.
"""

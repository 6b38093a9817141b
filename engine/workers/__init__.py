"""Worker processes: the zygote that forks them, their lane, and the supervision of their lives."""

"""Who may call, how much, and what a client's manifest may reach. See docs/security.md."""

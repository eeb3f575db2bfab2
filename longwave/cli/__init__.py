"""The command `longwave`; each command is thin."""

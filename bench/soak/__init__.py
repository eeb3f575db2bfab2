"""Hours in minutes: everything that connections can do, at once, and what is left of it."""

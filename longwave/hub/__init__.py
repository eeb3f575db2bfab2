"""Who listens to what in this worker, and each publication handed to each listener once."""

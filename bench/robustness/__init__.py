"""What a server does under load, with slow clients and with hostile ones, measured the same way for each."""

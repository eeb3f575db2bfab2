"""Protocol code without input or output: bytes to events and events to bytes."""

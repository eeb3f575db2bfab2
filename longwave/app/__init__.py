"""What a developer holds: handlers, event, peer, message, event stream, and the app that picks a route."""

"""The same sessions under any ASGI server."""

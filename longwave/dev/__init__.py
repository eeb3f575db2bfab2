"""Watches the files of a project and restarts the worker that serves it."""

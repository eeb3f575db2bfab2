"""Watches the files of a project and serves what they say now, under open connections where that can be."""

"""Drivers that carry publications to the other hubs, one medium per file."""

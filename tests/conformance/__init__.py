"""Conformance tables, which import nothing of Longwave, and what runs them."""

"""One module per harness: its docstring is the invariant, `check(data)` raises where that does not hold."""

"""Shows what goes on in a running application: in the terminal of `longwave dev`, and on a page."""

"""Our own server: sockets, buffers, time-outs and processes."""

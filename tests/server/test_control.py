"""The worker's end of the line to its supervisor."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Mapping
from typing import Any

from longwave.server.control import WorkerEnd


def test_messages_both_ways_and_the_end() -> None:
    ours, theirs = socket.socketpair()
    told: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
    end = WorkerEnd(theirs.detach())
    end.listen(told.put, lambda: told.put(None))
    with ours:
        end.send("ready", routes=[])
        assert json.loads(ours.recv(4096)) == {"kind": "ready", "routes": []}
        ours.sendall(b'{"kind":"stop","code":1012}\n{"kind":')
        assert told.get(timeout=5) == {"kind": "stop", "code": 1012}
        ours.sendall(b'"x"}\n')
        assert told.get(timeout=5) == {"kind": "x"}
    assert told.get(timeout=5) is None
    end.send("ready")  # nobody is there: nothing happens

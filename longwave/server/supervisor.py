"""Keeps the workers of one server running: replaces those that die, and all of them one by one on SIGHUP.

The listening sockets belong to the supervisor, so that no connection is refused while a worker is away: it
waits in the socket's queue, and another worker accepts there until the slot has its own again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct, field

from longwave.server.process import Ended, Heard, Process
from longwave.server.state import ERRORS

__all__ = ["Clock", "Display", "Spawn", "Stats", "Supervisor"]

LOG = logging.getLogger("longwave")
GOING_AWAY = 1001
SERVICE_RESTART = 1012
"""Close codes for WebSockets, of RFC 6455 and of its registry."""
STABLE = 5.0
"""Seconds that a worker has to live for its next one to be started without a pause."""
PAUSE = 0.25
"""Seconds before the second attempt in a row; each further pause is twice as long."""
LONGEST_PAUSE = 15.0
LATE = 5.0
"""Seconds beyond its own time limit after which a worker that does not end is killed; a worker that was cut
has a second."""
AFTER_CUT = 2.0
ANSWER = 1.0
"""Seconds that workers have to tell their counters."""

Spawn = Callable[[int, Heard, Ended], Process]
"""Starts the worker of a slot."""


class Timer(Protocol):
    """Something that was asked to happen later."""

    def cancel(self) -> None:
        """Take it back."""


class Clock(Protocol):
    """Time as the supervisor sees it."""

    def now(self) -> float:
        """Return seconds that only grow."""

    def call_later(self, seconds: float, callback: Callable[..., object], *arguments: Any) -> Timer:
        """Call back after so many seconds."""


class Display(Protocol):
    """What a supervisor tells the person who started it.

    What comes later goes to the log.
    """

    def ready(self, message: Mapping[str, Any]) -> None:
        """The first workers serve; called once."""

    def failed(self, text: str) -> None:
        """What there is cannot be started."""


class Stats(Struct, frozen=True):
    """The counters of all workers that answered, added up, and of each by its slot."""

    total: dict[str, int]
    workers: dict[int, dict[str, int]]


class Worker:
    """A process with what became of it."""

    def __init__(self, slot: Slot, began: float) -> None:
        self.slot = slot
        self.began = began
        self.process: Process | None = None
        self.is_ready = False
        self.is_told = False
        self.failure: str | None = None
        self.covers: list[int] = []
        self.killing: Timer | None = None

    @property
    def pid(self) -> int:
        """Its process id; 0 for one that there is not."""
        return 0 if self.process is None else self.process.pid


class Slot(Struct, eq=False):
    """A place for one worker, with the listening sockets of its own.

    `next` is to take over from `worker`.
    """

    index: int
    worker: Worker | None = None
    next: Worker | None = None
    deaths: int = 0
    timer: Timer | None = None

    @property
    def serving(self) -> Worker | None:
        """The worker that accepts here."""
        return self.worker if self.worker is not None and self.worker.is_ready else None


class Totals(Struct, eq=False):
    """Counters that are being asked for."""

    missing: set[int]
    done: asyncio.Future[None]
    found: dict[int, dict[str, int]] = field(default_factory=dict)


class Supervisor:
    """Runs `count` workers until SIGTERM or SIGINT, of which the second one cuts.

    SIGHUP replaces them, SIGUSR1 writes their counters to the log.

    `shutdown` is the time that a worker takes at most to end in order. `covers` says that each slot has
    sockets of its own, so that one without a worker needs another's.
    """

    def __init__(
        self,
        count: int,
        spawn: Spawn,
        display: Display,
        *,
        clock: Clock,
        shutdown: float = 25.0,
        covers: bool = True,
    ) -> None:
        self._slots = [Slot(index) for index in range(count)]
        self._spawn = spawn
        self._display = display
        self._clock = clock
        self._shutdown = shutdown
        self._covers = covers
        self._workers: dict[Process, Worker] = {}
        self._has_begun = False
        self._message: Mapping[str, Any] = {}
        self._failed: list[tuple[Worker, int]] = []
        self._stopping = 0
        self._roll: list[Slot] = []
        self._rolling: Worker | None = None
        self._roll_again = False
        self._over: asyncio.Future[int] | None = None
        self._asked: Totals | None = None
        self.restarts = 0
        """Workers that were started in place of one that died."""

    async def run(self) -> int:
        """Serve until a signal; returns the exit code.

        1 when not one worker could be started.
        """
        loop = asyncio.get_running_loop()
        over: asyncio.Future[int] = loop.create_future()
        self._over = over
        handlers: dict[int, Callable[[], object]] = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: self.replace,
            signal.SIGUSR1: self._log_stats,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            for slot in self._slots:
                slot.worker = self._begin(slot)
            return await over
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """End all workers in order; the second call cuts them."""
        self._stopping += 1
        self._roll.clear()
        for slot in self._slots:
            if slot.timer is not None:
                slot.timer.cancel()
                slot.timer = None
        for worker in list(self._workers.values()):
            if self._stopping == 1:
                self._end(worker, GOING_AWAY)
            elif worker.process is not None:
                worker.process.tell("cut")
                self._kill_after(worker, AFTER_CUT)
        self._finish()

    def replace(self) -> None:
        """Replace the workers one by one.

        Each new one serves before the old one is told to end.
        """
        if self._stopping or not self._has_begun:
            return
        if self._rolling is not None:
            self._roll_again = True
            return
        LOG.info("replacing %d workers", len(self._slots))
        self._roll = list(self._slots)
        self._next_of_roll()

    async def stats(self) -> Stats:
        """Ask all workers for their counters.

        One that does not answer in time is left out.
        """
        totals = self._asked
        if totals is None:
            asked = {slot.index: worker for slot in self._slots if (worker := slot.serving) is not None}
            totals = self._asked = Totals(set(asked), asyncio.get_running_loop().create_future())
            for worker in asked.values():
                assert worker.process is not None
                worker.process.tell("stats")
            if not asked:
                totals.done.set_result(None)
        await asyncio.wait([totals.done], timeout=ANSWER)
        if self._asked is totals:
            self._asked = None
        total = {"workers": len(totals.found), "restarts": self.restarts}
        for counters in totals.found.values():
            for name, number in counters.items():
                total[name] = total.get(name, 0) + number
        return Stats(total, totals.found)

    # What happens to a worker.

    def _begin(self, slot: Slot) -> Worker:
        worker = Worker(slot, self._clock.now())
        try:
            worker.process = self._spawn(slot.index, self._heard, self._ended)
        except OSError as error:
            # No memory, no process left: as if it had died at once.
            worker.failure = f"no process can be started: {error.strerror}"
            asyncio.get_running_loop().call_soon(self._gone, worker, 1)
            return worker
        self._workers[worker.process] = worker
        return worker

    def _heard(self, process: Process, message: Mapping[str, Any]) -> None:
        worker = self._workers[process]
        kind = message["kind"]
        if kind == "ready" and not worker.is_told:
            self._ready(worker, message)
        elif kind == "failed":
            worker.failure = message["text"]
        elif kind == "ending" and not worker.is_told:
            self._leaves(worker)
        elif kind == "stats":
            self._count(worker.slot.index, message["stats"])

    def _ready(self, worker: Worker, message: Mapping[str, Any]) -> None:
        worker.is_ready = True
        slot = worker.slot
        if slot.next is worker:
            old, slot.worker, slot.next = slot.worker, worker, None
            LOG.info("worker %d was replaced (pid %d)", slot.index, worker.pid)
            if old is not None:
                self._end(old, SERVICE_RESTART)
            if self._rolling is worker:
                # The next one's turn comes when this one's is over.
                self._rolling = old
                if old is None:
                    self._next_of_roll()
        elif self._has_begun:
            LOG.info("worker %d serves again (pid %d)", slot.index, worker.pid)
        else:
            self._message = message
            self._look_at_first()
        self._cover()

    def _leaves(self, worker: Worker) -> None:
        """Replace a worker that was told to end by somebody else; what it has still to do it finishes."""
        worker.is_told = True
        self._kill_after(worker, self._shutdown + LATE)
        slot = worker.slot
        if slot.worker is not worker or not self._has_begun:
            return
        slot.worker = None
        LOG.info("worker %d was told to end (pid %d); another is started", slot.index, worker.pid)
        if slot.next is None:
            self._restart(slot)
        self._cover()

    def _ended(self, process: Process, code: int) -> None:
        self._gone(self._workers.pop(process), code)

    def _gone(self, worker: Worker, code: int) -> None:
        if worker.killing is not None:
            worker.killing.cancel()
        slot = worker.slot
        if slot.next is worker:
            slot.next = None
            self._replacement_failed(worker, code)
        elif slot.worker is worker:
            slot.worker = None
            self._died(worker, code)
        if self._rolling is worker:
            self._next_of_roll()
        self._finish()

    def _died(self, worker: Worker, code: int) -> None:
        if self._stopping:
            return
        if not self._has_begun:
            self._failed.append((worker, code))
            self._look_at_first()
        elif worker.slot.next is None:
            self._again(worker, code)
        self._cover()

    def _again(self, worker: Worker, code: int) -> None:
        """Start another worker in place of one that died: at once, or after a pause if they die soon."""
        slot = worker.slot
        if worker.is_ready and self._clock.now() - worker.began >= STABLE:
            slot.deaths = 0
        slot.deaths += 1
        pause = min(LONGEST_PAUSE, PAUSE * 2 ** (slot.deaths - 2)) if slot.deaths > 1 else 0.0
        when = f"in {pause:g} s" if pause else "now"
        ERRORS.error("worker %d: %s; another is started %s", slot.index, self._why(worker, code), when)
        if pause:
            slot.timer = self._clock.call_later(pause, self._restart, slot)
        else:
            self._restart(slot)

    def _restart(self, slot: Slot) -> None:
        slot.timer = None
        self.restarts += 1
        slot.worker = self._begin(slot)

    def _look_at_first(self) -> None:
        """Go on when each of the first workers serves or has failed; give up where all have failed."""
        living = [slot.worker for slot in self._slots if slot.worker is not None]
        if any(not worker.is_ready for worker in living):
            return
        if living:
            self._has_begun = True
            self._display.ready(self._message)
            for worker, code in self._failed:
                self._again(worker, code)
        else:
            # They run the same code: the first one's words are those of all.
            self._display.failed(self._why(*self._failed[0]))
            assert self._over is not None
            self._over.set_result(1)

    def _count(self, slot: int, counters: dict[str, int]) -> None:
        asked = self._asked
        if asked is not None and slot in asked.missing:
            asked.missing.discard(slot)
            asked.found[slot] = counters
            if not asked.missing:
                asked.done.set_result(None)

    @staticmethod
    def _why(worker: Worker, code: int) -> str:
        if worker.failure is not None:
            return worker.failure
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return f"the worker ended {how}" + ("" if worker.is_ready else " before it served")

    # One by one.

    def _next_of_roll(self) -> None:
        self._rolling = None
        if self._roll_again and not self._stopping:
            self._roll_again = False
            self._roll = list(self._slots)
        if not self._roll or self._stopping:
            return
        slot = self._roll.pop(0)
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None
        if slot.worker is not None and not slot.worker.is_ready:
            # It loads the code of just now anyway.
            self._next_of_roll()
            return
        slot.next = self._rolling = self._begin(slot)

    def _replacement_failed(self, worker: Worker, code: int) -> None:
        if self._stopping or worker.is_told:
            return
        ERRORS.error(
            "worker %d could not be replaced: %s\nThe workers from before go on.",
            worker.slot.index,
            self._why(worker, code),
        )
        self._roll.clear()
        self._roll_again = False
        if worker.slot.worker is None:
            self._again(worker, code)

    # Their end.

    def _end(self, worker: Worker, code: int) -> None:
        if worker.process is None or worker.is_told:
            return
        worker.is_told = True
        if worker.is_ready:
            worker.process.tell("stop", code=code)
        else:
            # It has nobody to say goodbye to, and may not listen yet.
            worker.process.signal(signal.SIGTERM)
        self._kill_after(worker, self._shutdown + LATE)

    def _kill_after(self, worker: Worker, seconds: float) -> None:
        if worker.killing is not None:
            worker.killing.cancel()
        worker.killing = self._clock.call_later(seconds, self._kill, worker)

    def _kill(self, worker: Worker) -> None:
        assert worker.process is not None
        ERRORS.error("worker %d does not end: it is killed (pid %d)", worker.slot.index, worker.pid)
        worker.process.signal(signal.SIGKILL)

    def _finish(self) -> None:
        if self._stopping and not self._workers and self._over is not None and not self._over.done():
            self._over.set_result(0)

    def _cover(self) -> None:
        """Let workers accept for slots that have none."""
        serving = [worker for slot in self._slots if (worker := slot.serving) is not None]
        if not self._covers or not serving:
            return
        wanted: dict[Worker, list[int]] = {worker: [] for worker in serving}
        for number, slot in enumerate(slot for slot in self._slots if slot.serving is None):
            wanted[serving[number % len(serving)]].append(slot.index)
        for worker, covers in wanted.items():
            if worker.covers != covers and worker.process is not None:
                worker.covers = covers
                worker.process.tell("cover", slots=covers)

    def _log_stats(self) -> None:
        asyncio.get_running_loop().create_task(self._tell_stats())

    async def _tell_stats(self) -> None:
        total = (await self.stats()).total
        LOG.info("stats %s", json.dumps({name: count for name, count in total.items() if count}))

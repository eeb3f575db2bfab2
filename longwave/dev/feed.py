"""What happens to the code that is served, for all who show it: terminal, pages, inspector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from longwave.dev.failures import Failure

__all__ = ["Failed", "Feed", "News", "Page", "Restart", "Swapped", "decode_news", "encode_news", "file_names"]

log = logging.getLogger("longwave.dev")


@dataclass(frozen=True, slots=True)
class Swapped:
    """New code serves.

    `files` are those that changed, `modules` how many were built anew; `routes` are the paths whose code is
    new, `added` and `removed` those that came and went, `is_middleware` whether that of every request is new.
    `kept` sockets go on, `closed` ones lost their route, `ended` streams come back. `problems` are the route
    files that cannot be loaded and never could. `mended` says that the code before was out of date because of
    a failure.
    """

    files: tuple[str, ...]
    seconds: float
    modules: int = 0
    routes: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    is_middleware: bool = False
    kept: int = 0
    closed: int = 0
    ended: int = 0
    problems: tuple[Failure, ...] = ()
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The files as they are cannot be loaded; the code from before goes on.

    `is_next` says that a next worker could not load them: what this one swaps does not mend that.
    """

    files: tuple[str, ...]
    failure: Failure
    is_next: bool = False


@dataclass(frozen=True, slots=True)
class Restart:
    """What changed needs a new process, which the supervisor starts.

    `why` is for people.
    """

    files: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Page:
    """Files that pages are made of changed.

    The pages that listen are `open`; they load anew, or exchange their style sheets in place.
    """

    files: tuple[str, ...]
    does_reload: bool
    open: int = 0


News: TypeAlias = Swapped | Failed | Restart | Page


KINDS: dict[str, type[News]] = {kind.__name__: kind for kind in (Swapped, Failed, Restart, Page)}


def encode_news(news: News) -> dict[str, Any]:
    """Return news as JSON has it."""
    return {"type": type(news).__name__, **asdict(news)}


def decode_news(fields: Mapping[str, Any]) -> News:
    """Return the news that JSON told."""
    rest = {name: value for name, value in fields.items() if name != "type"}
    news: News = msgspec.convert(rest, KINDS[fields["type"]])
    return news


def file_names(files: Iterable[Path], root: Path) -> tuple[str, ...]:
    """Return files as people know them.

    Those in the root, which is resolved, are told from there.
    """
    return tuple(sorted(str(f.relative_to(root)) if f.is_relative_to(root) else str(f) for f in files))


class Feed:
    """Tells its subscribers what happens, on the loop.

    Whoever comes late reads what stands: `failure` is that of the newest code, until it is mended; `problems`
    are those of `Swapped`; `next_failure` is that of a worker that was to take over.
    """

    def __init__(self, problems: Iterable[Failure] = ()) -> None:
        self.failure: Failure | None = None
        self.next_failure: Failure | None = None
        self.problems = tuple(problems)
        self._subscribers: dict[Callable[[News], None], None] = {}

    def subscribe(self, subscriber: Callable[[News], None]) -> Callable[[], None]:
        """Call back with each piece of news; returns what ends that."""
        self._subscribers[subscriber] = None
        return lambda: self._subscribers.pop(subscriber, None)

    @property
    def standing(self) -> Failure | None:
        """What is wrong now, the gravest first; None when nothing is."""
        return self.next_failure or self.failure or next(iter(self.problems), None)

    def tell(self, news: News, by: Callable[[News], None] | None = None) -> None:
        """Pass news on to all but the subscriber that they are from.

        One that fails does not keep it from the others.
        """
        if isinstance(news, Failed):
            if news.is_next:
                self.next_failure = news.failure
            else:
                self.failure = news.failure
        elif isinstance(news, Swapped):
            self.failure, self.problems = None, news.problems
        for subscriber in [each for each in self._subscribers if each != by]:
            try:
                subscriber(news)
            except Exception:
                log.exception("a subscriber of the dev server's news failed")

"""What the judge may say of a publication and a receiver: an outcome that is as promised, or a crime."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.judge.logs import Logs, Publication
from tests.judge.sittings import Sitting

__all__ = ["Case", "Conviction", "Crime", "Judgment", "Outcome", "Rules"]

Excerpt: TypeAlias = Callable[[], Iterable[str]]

_EXPLAINED = 20
"""Convictions of one crime that get an excerpt of the logs; one mishap may make thousands."""
_SHOWN = 3


class Outcome(enum.StrEnum):
    """What is as promised."""

    DELIVERED = "delivered once in order"
    RECOVERED = "recovered"
    TOLD_LOST = "told lost"
    COUNTED = "lost in a fault and counted"
    WITH_NODE = "lost with the node that it was published on"
    EDGE = "published while the subscription began or ended: may come, need not"
    NOT_CONCERNED = "not concerned"


class Crime(enum.StrEnum):
    """What is not."""

    SILENT_LOSS = "silent loss"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    PHANTOM = "phantom"
    """Nobody published it, or its publisher was told that it is refused."""
    GAP = "gap in positions"
    POSITION = "two positions"
    """One publication at two positions, or one position for two publications."""
    PARTIAL = "partial recovery"
    """Told that it cannot be whole, and given a part."""
    WRONG_TOPIC = "wrong topic"
    UNINVITED = "uninvited"
    """Outside of the subscription, or the receiver's own where that is left out."""
    CORRUPT = "corrupt"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the judge grants, in the unit of the logs.

    `settle`: how long a publication may be on its way when nothing is wrong. `recover`: how long after a
    fault plain topics may still lose what crosses nodes.
    """

    settle: float = 1.0
    recover: float = 2.0


@dataclass(frozen=True, slots=True)
class Conviction:
    """One crime, with the shortest excerpt of the logs that explains it."""

    crime: Crime
    text: str
    receiver: str | None = None
    id: str | None = None
    excerpt: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.crime.upper()}: {self.text}", *self.excerpt])


@dataclass(slots=True)
class Judgment:
    """The outcomes counted, and the convictions."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    convictions: list[Conviction] = field(default_factory=list)
    pairs: dict[tuple[str, str], Outcome | Crime] = field(default_factory=dict)
    """By publication and receiver, where it is neither delivered nor not concerned."""
    seen: Mapping[str, Mapping[str, Sitting]] = field(default_factory=dict)

    @property
    def crimes(self) -> Counter[Crime]:
        """How often each crime was found."""
        return Counter(conviction.crime for conviction in self.convictions)

    def verdict(self, publication: str, receiver: str) -> Outcome | Crime:
        """Return what became of one publication at one receiver."""
        came = publication in self.seen.get(receiver, ())
        usual = Outcome.DELIVERED if came else Outcome.NOT_CONCERNED
        return self.pairs.get((publication, receiver), usual)

    def __str__(self) -> str:
        lines = [f"{count:>9} {outcome}" for outcome, count in self.outcomes.most_common()]
        for crime, count in self.crimes.most_common():
            lines.append(f"{count:>9} CONVICTED of {crime}")
        for crime in self.crimes:
            of_it = [conviction for conviction in self.convictions if conviction.crime is crime]
            lines += ["", *"\n\n".join(map(str, of_it[:_SHOWN])).split("\n")]
            if len(of_it) > _SHOWN:
                lines.append(f"... and {len(of_it) - _SHOWN} more of {crime}")
        return "\n".join(lines)


@dataclass(slots=True)
class Case:
    """What the parts of the judge share while they look at one run."""

    logs: Logs
    rules: Rules
    judgment: Judgment
    sittings: dict[str, list[Sitting]] = field(default_factory=dict)
    seen: dict[str, dict[str, Sitting]] = field(default_factory=dict)
    """By receiver and publication: the sitting in which it came first."""
    positions: dict[str, str] = field(default_factory=dict)
    """By publication; where somebody saw one, or its publisher was told."""
    at: dict[tuple[str, str], str] = field(default_factory=dict)
    """By topic and position: the publication."""
    topics: dict[str, list[Publication]] = field(default_factory=dict)
    """By topic: what was published, in the order of the calls."""
    explained: Counter[Crime] = field(default_factory=Counter)

    def settle(self, outcome: Outcome, publication: str, receiver: str) -> None:
        """Note an outcome that is as promised."""
        self.judgment.outcomes[outcome] += 1
        if outcome is not Outcome.DELIVERED:
            self.judgment.pairs.setdefault((publication, receiver), outcome)

    def convict(
        self, crime: Crime, text: str, receiver: str, publication: str | None, excerpt: Excerpt
    ) -> None:
        """Note a crime; `excerpt` is asked only where it will be read."""
        self.explained[crime] += 1
        lines = tuple(excerpt()) if self.explained[crime] <= _EXPLAINED else ()
        self.judgment.convictions.append(Conviction(crime, text, receiver or None, publication, lines))
        if publication is not None:
            self.judgment.pairs[publication, receiver] = crime

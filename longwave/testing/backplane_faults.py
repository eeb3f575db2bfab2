"""What a backplane driver has to do when something breaks, as tests for the faults that a rig can make."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest

from longwave.testing.backplane_suite import asynchronous
from longwave.testing.backplanes import BackplaneNode, BackplaneRig, opened, quiet, until

__all__ = ["HOSTILE", "BackplaneFaultSuite"]

MIB: Final = 1024 * 1024

HOSTILE: Final = (
    b"", b"\x00", b"\xff" * 64, b"{", b'{"node": 1}', b"null", b"\x80\x04\x95.", b"\x93\x01\x02\x03",
    b"\xdf\xff\xff\xff\xff", b"\xff\xff\xff\xff", b"A" * MIB,
)  # fmt: skip
"""Bytes of somebody else."""


class BackplaneFaultSuite:
    """The tests of nodes that are cut off, paused or killed, and of rubbish.

    Used as `BackplaneSuite` is.
    """

    @asynchronous
    async def test_a_node_that_is_cut_off(self, rig: BackplaneRig) -> None:
        """Local delivery goes on, and no publisher sees an exception.

        Back, it hears all again, nothing comes twice, and what was lost is counted.
        """
        _need(rig, "cut")
        async with opened(rig, "a", "b", "c") as nodes:
            listeners = [await node.listen("room") for node in nodes]
            await rig.cut("a")
            for node in nodes:
                for number in range(20):
                    node.publish("room", f"{node.name} {number}")
            await listeners[0].wait(20)
            for listener in listeners[1:]:
                await listener.wait(40)
            await until(lambda: nodes[0].errors, "an error at the node that is cut off")
            await rig.heal("a")
            await _meet(rig, nodes)
            for node, listener in zip(nodes, listeners, strict=True):
                for publisher in nodes:
                    is_cut = node is not publisher and nodes[0] in (node, publisher)
                    _check(rig, publisher, node, listener.payloads, 20, is_cut)

    @asynchronous
    async def test_a_node_that_stands_still(self, rig: BackplaneRig) -> None:
        """It stalls nobody; what it does not get any more (of 5 MB) is counted."""
        _need(rig, "pause")
        async with opened(rig, "a", "b", "c") as nodes:
            listeners = [await node.listen("room") for node in nodes]
            await rig.pause("c")
            padding = "x" * 10_000
            for number in range(500):
                nodes[0].publish("room", f"a {number} {padding}")
                # At the pace of those that are well.
                if number % 10 == 9:
                    await listeners[1].wait(number + 1)
            await rig.resume("c")
            await _meet(rig, nodes)
            for node, listener in zip(nodes, listeners, strict=True):
                _check(rig, nodes[0], node, listener.payloads, 500, node is nodes[2])

    @asynchronous
    async def test_a_node_that_is_killed(self, rig: BackplaneRig) -> None:
        """The others lose nothing, and one of the same name takes its place."""
        _need(rig, "kill")
        async with opened(rig, "a", "b", "c") as (one, two, three):
            here = await one.listen("room")
            await three.listen("room")
            await rig.kill("c")
            for number in range(100):
                two.publish("room", f"b {number}")
            await here.wait(100)
            again = BackplaneNode("c")
            await again.start(rig)
            there = await again.listen("room")
            two.publish("room", "welcome")
            again.publish("room", "back")
            await here.wait(102)
            await there.wait(2)
            await quiet(rig)
            assert (len(here.got), len(there.got)) == (102, 2)
            await again.driver.close()

    @asynchronous
    async def test_bytes_of_others_are_dropped_and_counted(self, rig: BackplaneRig) -> None:
        """Whatever comes, what follows it arrives."""
        _need(rig, "inject")
        async with opened(rig, "a", "b") as (one, two):
            there = await two.listen("room")
            for count, data in enumerate(HOSTILE):
                await rig.inject("b", data)
                await until(partial(_has_counted, rig, two, count + 1), f"that {data[:20]!r} is counted")
                await _meet(rig, [one, two])
                one.publish("room", "x")
                await there.wait(count + 1)


def _has_counted(rig: BackplaneRig, node: BackplaneNode, count: int) -> bool:
    return rig.malformed(node.name) + node.hub.malformed >= count


def _need(rig: BackplaneRig, fault: str) -> None:
    if fault not in rig.faults:
        pytest.skip(f"the rig has no {fault!r}")


async def _meet(rig: BackplaneRig, nodes: Sequence[BackplaneNode]) -> None:
    """Wait until all hear each other, within the time that the rig says."""
    probes = [await node.listen("probe") for node in nodes]
    names = {node.name.encode() for node in nodes}

    def heard() -> bool:
        for node in nodes:
            node.publish("probe", node.name)
        return all(names <= set(probe.payloads) for probe in probes)

    await until(heard, "that all nodes hear each other again", max(1.0, 1.5 * rig.recover))
    await quiet(rig)
    for node, probe in zip(nodes, probes, strict=True):
        node.hub.unsubscribe(probe, "probe")


def _check(
    rig: BackplaneRig,
    publisher: BackplaneNode,
    node: BackplaneNode,
    payloads: Sequence[bytes],
    count: int,
    is_cut: bool,
) -> None:
    """Check what came from one node to another: in order, once, and what is missing is counted."""
    words = [payload.decode().split() for payload in payloads]
    numbers = [int(word[1]) for word in words if word[0] == publisher.name]
    assert numbers == sorted(set(numbers)), f"{publisher.name} to {node.name}: {numbers}"
    missing = count - len(numbers)
    lost, missed = rig.lost(publisher.name), rig.lost(node.name)
    counted = lost.get(node.name, 0) + lost.get(None, 0) + missed.get(publisher.name, 0) + missed.get(None, 0)
    assert missing <= (counted if is_cut else 0), (
        f"{publisher.name} to {node.name}: {missing} of {count} are missing, {counted} are counted"
    )

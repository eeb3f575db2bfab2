"""`apply_mask(data, mask)`: the payload of a frame without its mask (RFC 6455 section 5.3).

It is the compiled one of websockets. That package asks for its metadata when it is imported, which takes
longer than all of this room: the one module that is wanted is loaded alone.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import TypeAlias

__all__ = ["apply_mask"]

Mask: TypeAlias = Callable[[bytes | bytearray, bytes | bytearray], bytes]


def _load() -> Mask | None:
    package = PathFinder.find_spec("websockets")
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec("websockets.speedups", places) if places else None
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Mask = module.apply_mask
    return function


def _load_plain() -> Mask:
    """Return the one that is written in Python, where websockets has no compiled part."""
    from websockets.utils import apply_mask

    return apply_mask


apply_mask: Mask = _load() or _load_plain()

"""WebSocket handlers: keywords, decorators or a class; and `Hooks`, what a route's handler comes down to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from longwave.app.calls import accepts, adapt, in_thread, is_async, place_of, reader_of, watched
from longwave.app.response import HeadersInit
from longwave.errors import DefinitionError
from longwave.types import Compression, SlowPolicy

__all__ = [
    "CloseDetails",
    "DefinedWebSocketHandler",
    "Hooks",
    "UpgradeResult",
    "WebSocketHandler",
    "combine_hooks",
    "compile_hooks",
    "define_websocket_handler",
]

Hook = Callable[..., Any]
AnyHook = TypeVar("AnyHook", bound=Hook)

ARGUMENTS = {
    "upgrade": 1,
    "open": 1,
    "message": 2,
    "close": 2,
    "drain": 1,
    "error": 2,
    "ping": 2,
    "pong": 2,
}
"""What each hook is offered: the event, or the peer and (where 2) the message, details, error or data."""


class CloseDetails(Struct, frozen=True):
    """How a WebSocket ended.

    `code` and `reason` are those of RFC 6455 section 7.1.5: 1005 when the client gave no code, 1006 when the
    connection was lost. `clean` says whether the closing handshake was completed.
    """

    code: int
    reason: str = ""

    @property
    def clean(self) -> bool:
        """Whether both sides said goodbye."""
        return self.code != 1006


class UpgradeResult(Struct):
    """What an `upgrade` hook may settle.

    Response headers, namespace, context, subprotocol, user, compression.
    """

    headers: HeadersInit = ()
    namespace: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    protocol: str | None = None
    user: Any = None
    compress: bool | Compression | None = None


class WebSocketHandler:
    """Subclass it and write hooks as methods.

    They are `upgrade open message close drain error ping pong`. `protocols` are the subprotocols in order of
    preference; `namespace` overrides the path; `blocking` runs sync hooks in threads; `slow` is the policy
    for a peer that does not keep up with what others publish; `compress` says whether messages are
    compressed where the client can, None as the settings do.
    """

    protocols: tuple[str, ...] = ()
    namespace: str | None = None
    blocking: bool = False
    slow: str = "close"
    compress: bool | Compression | None = None

    def find_hook(self, name: str) -> Hook | None:
        """Return the hook of that name, or None."""
        return getattr(self, name, None)


class DefinedWebSocketHandler(WebSocketHandler):
    """The result of `define_websocket_handler`.

    Its methods are decorators that set the hooks.
    """

    def __init__(self, hooks: Mapping[str, Hook | None]) -> None:
        self._hooks: dict[str, Hook] = {}
        self._is_settled = False
        for name, hook in hooks.items():
            if hook is not None:
                self._set(name, hook)

    def upgrade(self, hook: AnyHook) -> AnyHook:
        """Set the hook that may refuse an upgrade: `upgrade(event)`."""
        return self._set("upgrade", hook)

    def open(self, hook: AnyHook) -> AnyHook:
        """Set the hook of a new connection: `open(peer)`."""
        return self._set("open", hook)

    def message(self, hook: AnyHook) -> AnyHook:
        """Set the hook of a message: `message(peer, message)`.

        An annotated second argument is decoded.
        """
        return self._set("message", hook)

    def close(self, hook: AnyHook) -> AnyHook:
        """Set the hook of the end: `close(peer, details)`."""
        return self._set("close", hook)

    def drain(self, hook: AnyHook) -> AnyHook:
        """Set the hook that hears when a full outgoing buffer has emptied: `drain(peer)`."""
        return self._set("drain", hook)

    def error(self, hook: AnyHook) -> AnyHook:
        """Set the hook that hears of errors in the others: `error(peer, error)`."""
        return self._set("error", hook)

    def ping(self, hook: AnyHook) -> AnyHook:
        """Set the hook of a ping, which is answered already: `ping(peer, data)`."""
        return self._set("ping", hook)

    def pong(self, hook: AnyHook) -> AnyHook:
        """Set the hook of a pong: `pong(peer, data)`."""
        return self._set("pong", hook)

    def find_hook(self, name: str) -> Hook | None:
        """Return the hook of that name, or None; after it no hook can be set."""
        self._is_settled = True
        return self._hooks.get(name)

    def _set(self, name: str, hook: AnyHook) -> AnyHook:
        if self._is_settled:
            raise DefinitionError(
                f"the {name} hook at {place_of(hook)} comes too late: a route has taken over this handler's "
                "hooks. Set them before create_app()"
            )
        accepts(hook, ARGUMENTS[name], f"the {name} hook")
        self._hooks[name] = hook
        return hook


def define_websocket_handler(
    *,
    upgrade: Hook | None = None,
    open: Hook | None = None,
    message: Hook | None = None,
    close: Hook | None = None,
    drain: Hook | None = None,
    error: Hook | None = None,
    ping: Hook | None = None,
    pong: Hook | None = None,
    protocols: Iterable[str] = (),
    namespace: str | None = None,
    blocking: bool = False,
    slow: str = "close",
    compress: bool | Compression | None = None,
) -> DefinedWebSocketHandler:
    """Make a WebSocket handler of hooks, given here or set by decorators.

    Hooks are sync or async, and may take fewer arguments than they are offered. `slow` is "close",
    "drop_new" or "drop_old". `compress` is true, false, a `Compression`, or None for what the settings say.
    Raises `DefinitionError` for a hook that needs more arguments.
    """
    if isinstance(protocols, str):
        raise DefinitionError(f'protocols is a tuple of names: write protocols=("{protocols}",)')
    given = {
        "upgrade": upgrade,
        "open": open,
        "message": message,
        "close": close,
        "drain": drain,
        "error": error,
        "ping": ping,
        "pong": pong,
    }
    handler = DefinedWebSocketHandler(given)
    handler.protocols = tuple(protocols)
    handler.namespace = namespace
    handler.blocking = blocking
    handler.slow = slow
    handler.compress = compress
    _policy(slow)
    _check_compress(compress)
    return handler


class Hooks(Struct):
    """A handler as a route holds it.

    Each hook takes exactly what it is offered, or is None.
    """

    upgrade: Hook | None = None
    open: Hook | None = None
    message: Hook | None = None
    close: Hook | None = None
    drain: Hook | None = None
    error: Hook | None = None
    ping: Hook | None = None
    pong: Hook | None = None
    protocols: tuple[str, ...] = ()
    namespace: str | None = None
    policy: SlowPolicy = SlowPolicy.CLOSE
    compress: bool | Compression | None = None


def compile_hooks(handler: WebSocketHandler, *, watch: bool = False) -> Hooks:
    """Settle how each hook of a handler is called.

    `watch` names those that hold the loop (dev). Raises `DefinitionError` for a hook that cannot be called or
    whose type cannot be resolved.
    """
    hooks = Hooks(
        protocols=tuple(handler.protocols),
        namespace=handler.namespace or None,
        policy=_policy(handler.slow),
        compress=_check_compress(handler.compress),
    )
    for name, offered in ARGUMENTS.items():
        function = handler.find_hook(name)
        if function is None:
            continue
        what = f"the {name} hook"
        call = adapt(function, offered, what)
        if name == "message":
            call = _decoding(call, function, what)
        if handler.blocking and not is_async(function):
            call = in_thread(call)
        elif watch:
            call = watched(call, what, place_of(function))
        setattr(hooks, name, call)
    return hooks


def combine_hooks(first: Hooks, second: Hooks) -> Hooks:
    """Return hooks that run those of `first` before those of `second`.

    The settings are the second's. Of two `upgrade` hooks the first that returns a response ends it; else what
    both settle is joined, and the second wins.
    """
    combined = replace(second)
    for name in ARGUMENTS:
        before, after = getattr(first, name), getattr(second, name)
        if before is not None:
            setattr(combined, name, before if after is None else _both(before, after))
    return combined


def _both(before: Hook, after: Hook) -> Hook:
    def run(*arguments: Any) -> Any:
        result = before(*arguments)
        if hasattr(result, "__await__"):
            return run_on(result, arguments)
        if isinstance(result, Exception):
            return result
        second = after(*arguments)
        if hasattr(second, "__await__"):
            return join(result, second)
        return _joined(result, second)

    async def run_on(pending: Any, arguments: tuple[Any, ...]) -> Any:
        result = await pending
        if isinstance(result, Exception):
            return result
        second = after(*arguments)
        if hasattr(second, "__await__"):
            second = await second
        return _joined(result, second)

    async def join(result: Any, pending: Any) -> Any:
        return _joined(result, await pending)

    return run


def _joined(first: Any, second: Any) -> Any:
    if not (isinstance(first, UpgradeResult) and isinstance(second, UpgradeResult)):
        return first if second is None else second
    return UpgradeResult(
        headers=[*_pairs(first.headers), *_pairs(second.headers)],
        namespace=second.namespace or first.namespace,
        context={**first.context, **second.context},
        protocol=second.protocol or first.protocol,
        user=first.user if second.user is None else second.user,
        compress=first.compress if second.compress is None else second.compress,
    )


def _pairs(headers: HeadersInit) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, Mapping) else headers


def _decoding(call: Hook, function: Hook, what: str) -> Hook:
    read = reader_of(function, what) if accepts(function, 2, what) == 2 else None
    if read is None:
        return call
    return lambda peer, message: call(peer, read(message))


def _policy(slow: str) -> SlowPolicy:
    try:
        return SlowPolicy(slow)
    except ValueError:
        raise DefinitionError(f'slow is "close", "drop_new" or "drop_old", not {slow!r}') from None


def _check_compress(compress: Any) -> bool | Compression | None:
    if compress is None or isinstance(compress, (bool, Compression)):
        return compress
    raise DefinitionError(f"compress is True, False, a Compression or None, not {compress!r}")

"""Check 23: what `longwave dev` serves, to whom, and that HMR is of no use to anybody else.

The attacks are those that Vite had to learn of, and their like: reading files past the folder that is served,
foreign pages by DNS rebinding and by WebSockets, and what can be asked for over the HMR WebSocket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.e2e.process import ServerProcess

SECRET = "S3CRET-7f3a"
PUBLIC = "PUBLIC-91bc"
PASSWD = "root:x:0"
HMR = "longwave-hmr"
FILES = {
    "index.html": f"<!doctype html>{PUBLIC}",
    "public/hello.txt": PUBLIC,
    "public/deep/page.html": f"<p>{PUBLIC}",
    "src/server/routes/count.py": "from src.server.util.keys import opened\n\nasync def get(event):\n"
    f"    return opened  # {SECRET}\n",
    "src/server/routes/live.py": f"""
from longwave import define_websocket_handler
from src.server.util.keys import opened

def open(peer):  # {SECRET}
    opened.append(peer.protocol)
    peer.send("user")

handler = define_websocket_handler(open=open, protocols=("chat", "vite-hmr"))
""",
    "longwave.config.py": "from longwave import define_config\n"
    f"config = define_config(server={{'hmr': {{'path': 'live'}}}})  # {SECRET}\n",
}
SECRETS = [
    ".env",
    ".env.local",
    ".git/config",
    ".npmrc",
    "pyproject.toml",
    "package.json",
    "server.key",
    "cert.pem",
    "secrets.txt",
    "index.html.bak",
    "publicity/plan.txt",
    "node_modules/x/index.js",
    "src/server/util/keys.py",
    "public/.env",
    "public/.well/key.txt",
]
SOURCES = [*SECRETS, "longwave.config.py", "src/server/routes/live.py"]
# F is the path of the file from the root, ROOT that of the root, without its first slash.
ATTACKS = """
/F
//F
///F
/./F
/.//F
/../F
/..//F
/../../F
/public/F
/public/../F
/deep/../../F
/hello.txt/../F
/hello.txt/../../F
/x/..;/F
/;/F
/%2e/F
/%2e%2e/F
/%2e%2e%2fF
/..%2fF
/..%2FF
/%252e%252e/F
/%252e%252e%252fF
/..%252fF
/..%5cF
/%5c..%5cF
/..%c0%afF
/%c0%ae%c0%ae/F
/%u002e%u002e/F
/..\\F
\\..\\F
/F?raw
/F?raw??
/F?import
/F?import&raw
/F?import&raw??
/F?url&inline
/F?inline=1.wasm?init
/F?.svg?.wasm?init
/F?t=1&html-proxy&index=0.js
/F?x=%23
/F#/../x
/hello.txt#/../F
/F.map
/deep/..%2f..%2fF.map
/F%00
/F%00.html
/F\0.html
/F%0a
/F%20
/F.
/F/
/F/.
/F::$DATA
/F%3a%3a$DATA
/F:$DATA
/@fs/ROOT/F
/@fs//ROOT/F
/@fs/ROOT/public/../F
/@fs/ROOT/F?raw??
/@fs/ROOT/F?import&raw??
/@fs/ROOT/F?url
/@id/F
/@id/__x00__F
/@vite/F
/__vite_rsc_findSourceMapURL?filename=file:///ROOT/F
/__open-in-editor?file=F
/_longwave/F
/_longwave/../F
/_longwave/open?file=F
/_longwave/client.js/../../F
/ROOT/F
//ROOT/F
/file:///ROOT/F
http://localhost/F
http://localhost/../F
http://127.0.0.1//F
file:///ROOT/F
*/F
F
../F
"""
MORE = [
    "/link.txt",
    "/link.html",
    "/folder/server/util/keys.py",
    "/folder",
    "/folder/",
    "/outside/passwd.txt",
    "/loop/hello.txt",
    "//etc/passwd",
    "/etc/passwd",
    "/@fs/etc/passwd",
    "/@fs/etc/passwd?raw??",
    "/../../../../../../etc/passwd",
    "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/....//....//....//etc/passwd",
    "/deep/..././..././etc/passwd",
    "/SECRET~1.TXT",
    "/PYPROJ~1.TOM",
    "/LONGWA~1.PY",
    "/.ENV",
    "/Public/.env",
    "/PYPROJECT.TOML",
    "/%2Eenv",
    "/.%65nv",
    "/public",
    "/public/",
    "/src/",
    "/src/server/routes/",
    "/.git/HEAD",
]
BROWSING = ("Accept: text/html", "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate")
"""What makes HTML of a file, or of an error, a page of the development server."""


class Answer(NamedTuple):
    status: int
    fields: str
    body: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    base = tmp_path_factory.mktemp("safe")
    root = base / "project"
    for name, text in {**dict.fromkeys(SECRETS, SECRET), **FILES}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "src/server/util/keys.py").write_text(f"opened = []  # {SECRET}\n")
    (root / "pyproject.toml").write_text(f"# {SECRET}\n")
    (root / ".env").write_text(f"KEY={SECRET}\n")
    (root / ".env.local").write_text(f"KEY={SECRET}\n")
    (base / "outside").mkdir()
    (base / "outside" / "passwd.txt").write_text(SECRET)
    public = root / "public"
    for link, target in {
        "link.txt": root / "secrets.txt",
        "link.html": root / "secrets.txt",
        "folder": root / "src",
        "outside": base / "outside",
        "loop": root,
    }.items():
        (public / link).symlink_to(target)
    names = {"LONGWAVE_SERVER_ALLOWED_HOSTS": "own.example.org, .tunnel.example"}
    with ServerProcess(root, command="dev", host=None, env=names) as server:
        yield server


def ask(server: ServerProcess, target: str, *fields: str, host: str | None = "localhost") -> Answer:
    """Send a request as it stands, and read the answer whole."""
    lines = [f"GET {target} HTTP/1.1", *fields, "Connection: close"]
    if host is not None:
        lines.insert(1, f"Host: {host}")
    data = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
        while piece := sock.recv(65536):
            data += piece
    head, _, body = data.decode("latin-1").partition("\r\n\r\n")
    status = head.split(" ", 2)[1]
    return Answer(int(status), head.lower(), body)


def upgrade(server: ServerProcess, target: str, *fields: str, host: str = "localhost") -> int:
    """Ask for a WebSocket, and return the status."""
    wanted = [
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: Upgrade", *wanted, *fields]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))
        return int(sock.recv(65536).split(b" ", 2)[1])


def token_of(server: ServerProcess) -> str:
    script = ask(server, "/_longwave/client.js").body
    options = script.partition("const options = ")[2].partition(";\n")[0]
    token: str = json.loads(options)["token"]
    return token


def listen(
    server: ServerProcess, *protocols: str, query: str = "", origin: str | None = None
) -> ClientConnection:
    return connect(
        f"{server.websocket_url}live{query}",
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        origin=Origin(origin) if origin is not None else None,
        proxy=None,
    )


def test_it_listens_on_this_machine_alone(server: ServerProcess) -> None:
    # What listens on every interface has this address too.
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", server.port), timeout=5).close()


@pytest.mark.parametrize("fields", [(), BROWSING], ids=["script", "page"])
def test_nothing_but_public_and_the_page_is_served(server: ServerProcess, fields: tuple[str, ...]) -> None:
    root = str(server.root).lstrip("/")
    targets = [
        attack.replace("\\0", "\0").replace("ROOT", root).replace("F", file)
        for attack in ATTACKS.split("\n")
        if attack
        for file in SOURCES
    ]
    for target in ["/", "/index.html", "/hello.txt", "/deep/page.html", "/x/../hello.txt?raw"]:
        answer = ask(server, target, *fields)
        assert (answer.status, PUBLIC in answer.body) == (200, True), target
    leaked = []
    for target in [*targets, *MORE]:
        answer = ask(server, target, *fields)
        if SECRET in answer.body or PASSWD in answer.body or answer.status not in (400, 403, 404, 405):
            leaked.append((target, answer.status, answer.body[:80]))
    assert leaked == []
    assert server.answers()


HOSTS = [
    ("localhost", True),
    ("localhost:PORT", True),
    ("LocalHost", True),
    ("app.localhost:3000", True),
    ("127.0.0.1", True),
    ("[::1]:PORT", True),
    ("192.168.1.5:PORT", True),
    ("own.example.org", True),
    ("tunnel.example", True),
    ("a.b.tunnel.example:443", True),
    ("evil.example", False),
    ("evil.example:PORT", False),
    ("localhost.evil.example", False),
    ("127.0.0.1.evil.example", False),
    ("evil-localhost", False),
    ("sub.own.example.org", False),
    ("eviltunnel.example", False),
    ("own.example.org.evil.example", False),
]


@pytest.mark.parametrize(("host", "allowed"), HOSTS)
def test_names_that_lead_here_are_not_ours(server: ServerProcess, host: str, allowed: bool) -> None:
    host = host.replace("PORT", str(server.port))
    for target in ("/", "/hello.txt", "/count", "/_longwave/health", "/_longwave/client.js", "/nowhere"):
        answer = ask(server, target, host=host)
        expected = (404 if target == "/nowhere" else 200) if allowed else 403
        assert answer.status == expected, (target, answer)
        if not allowed:
            assert "server.allowed_hosts" in answer.body and PUBLIC not in answer.body
            assert "access-control" not in answer.fields
    ours, theirs = f"Sec-WebSocket-Protocol: {HMR}", "Sec-WebSocket-Protocol: chat"
    for fields in ((ours,), (theirs,), (theirs, f"Origin: http://{host}")):
        assert upgrade(server, "/live", *fields, host=host) == (101 if allowed else 403), fields


def test_a_host_cannot_be_hidden(server: ServerProcess) -> None:
    evil = "evil.example"
    assert ask(server, "/", "X-Forwarded-Host: localhost", host=evil).status == 403
    assert ask(server, "/", "Forwarded: host=localhost", host=evil).status == 403
    assert ask(server, f"http://{evil}/", host="localhost").status == 403
    assert ask(server, "/", host=None).status == 400
    for host in ("localhost@evil.example", "localhost, evil.example", "evil.example\r\nHost: localhost", ""):
        assert ask(server, "/", host=host).status in (400, 403), host


@pytest.mark.parametrize(
    ("origin", "query", "status"),
    [
        ("http://localhost", "?token=TOKEN", 101),
        ("http://localhost:5173", "?token=TOKEN", 101),
        ("http://localhost", "", 403),
        ("http://localhost", "?token=", 403),
        ("http://localhost", "?token=TOKENx", 403),
        ("http://localhost", "?TOKEN", 403),
        ("http://localhost", "?token=wrong&token=TOKEN", 403),
        ("http://evil.example", "", 403),
        ("http://evil.example", "?token=TOKEN", 403),
        ("http://localhost.evil.example", "?token=TOKEN", 403),
        ("null", "?token=TOKEN", 403),
        ("http://localhost\r\nOrigin: http://evil.example", "?token=TOKEN", 403),
        (None, "", 101),
    ],
)
def test_a_page_needs_the_token(server: ServerProcess, origin: str | None, query: str, status: int) -> None:
    fields = [f"Sec-WebSocket-Protocol: {HMR}", *([] if origin is None else [f"Origin: {origin}"])]
    query = query.replace("TOKEN", token_of(server))
    before = ask(server, "/count").body
    assert upgrade(server, f"/live{query}", *fields) == status
    # A refusal is one: the route at the same path is not asked instead.
    assert ask(server, "/count").body == before


def test_foreign_pages_open_no_socket_of_the_project(server: ServerProcess) -> None:
    before = ask(server, "/count").body
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "file://"):
        for protocol in ("chat", "vite-hmr", HMR, "longwave-ping"):
            assert upgrade(server, "/live", f"Sec-WebSocket-Protocol: {protocol}", f"Origin: {origin}") == 403
    assert ask(server, "/count").body == before


def test_foreign_pages_do_not_get_the_token(server: ServerProcess) -> None:
    for site in ("cross-site", "same-site"):
        for mode in ("cors", "no-cors", "navigate"):
            fields = (f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Mode: {mode}")
            answer = ask(server, "/_longwave/client.js", *fields)
            assert (answer.status, "token" in answer.body) == (403, False)
    # Where a browser says nothing of that: read it cannot, nor run it, for it is none but as a module.
    answer = ask(server, "/_longwave/client.js", "Origin: http://evil.example")
    assert "access-control-allow-origin" not in answer.fields
    assert "cross-origin-resource-policy: same-origin" in answer.fields
    assert "import.meta" in answer.body
    page = ask(server, "/", *BROWSING)
    assert "/_longwave/client.js" in page.body and token_of(server) not in page.body


@pytest.mark.parametrize("target", ["/", "/hello.txt", "/count", "/nowhere", "/_longwave/health"])
def test_only_pages_of_this_machine_may_read(server: ServerProcess, target: str) -> None:
    for origin in ("http://evil.example", "null", "http://localhost.evil.example", "https://own.example.org"):
        assert "access-control" not in ask(server, target, f"Origin: {origin}").fields
    fields = ask(server, target, "Origin: http://localhost:5173").fields
    if target.startswith("/_longwave/"):
        assert "access-control" not in fields
    else:
        assert "access-control-allow-origin: http://localhost:5173\r\n" in fields
        assert "access-control-allow-credentials" not in fields


@pytest.mark.parametrize(
    ("protocols", "chosen", "first"),
    [
        ([], None, "user"),
        (["chat"], "chat", "user"),
        (["vite-hmr"], "vite-hmr", "user"),
        (["other"], None, "user"),
        (["chat", HMR], "chat", "user"),
        ([HMR, "chat"], "chat", "user"),
        ([HMR, "vite-hmr"], "vite-hmr", "user"),
        (["longwave-hmrx"], None, "user"),
        ([HMR], HMR, '{"type":"connected"}'),
    ],
)
def test_each_upgrade_has_one_owner(
    server: ServerProcess, protocols: list[str], chosen: str | None, first: str
) -> None:
    with listen(server, *protocols) as client:
        assert (client.subprotocol, client.recv(10)) == (chosen, first)


def test_a_ping_is_closed_at_once(server: ServerProcess) -> None:
    before = ask(server, "/count").body
    with listen(server, "longwave-ping", origin="http://localhost:5173") as client:
        with pytest.raises(ConnectionClosed):
            client.recv(10)
        assert client.close_code == 1000
    assert ask(server, "/count").body == before


def test_a_path_that_is_nearly_the_same_is_the_routes(server: ServerProcess) -> None:
    with connect(f"{server.websocket_url}live/", subprotocols=[Subprotocol(HMR)], proxy=None) as client:
        assert (client.subprotocol, client.recv(10)) == (None, "user")


@pytest.mark.parametrize("path", ["Live", "live/x", "_longwave/hmr", "vite-hmr", ""])
def test_hmr_is_at_its_path_alone(server: ServerProcess, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(server.websocket_url + path, subprotocols=[Subprotocol(HMR)], proxy=None),
    ):
        pass
    assert caught.value.response.status_code in (400, 404)


def test_what_a_page_says_reads_and_runs_nothing(server: ServerProcess) -> None:
    path = str(server.root / "secrets.txt")
    marker = server.root / "public" / "ran"
    calls = [
        {"type": "custom", "event": event, "data": {"id": "send:1", "name": name, "data": [path]}}
        for event in ("vite:invoke", "longwave:invoke", "longwave:swapped")
        for name in ("fetchModule", "getBuiltins", "eval", "open")
    ]
    said = [
        *calls,
        {"type": "ping"},
        {"type": "full-reload", "path": path},
        {"type": "error", "err": {"id": path, "loc": {"file": path, "line": 1}}},
        {"type": "open", "file": path},
        {"method": "read", "params": [path]},
        {"type": "custom", "event": "exec", "data": f"__import__('pathlib').Path({str(marker)!r}).touch()"},
        {"py/reduce": ["os.system", [f"touch {marker}"]]},
    ]
    with listen(server, HMR) as client, listen(server, HMR) as other:
        assert client.recv(10) == other.recv(10) == '{"type":"connected"}'
        for message in said:
            client.send(json.dumps(message))
        # Its pong comes after all that would have been answered.
        assert client.ping().wait(10) and other.ping().wait(10)
        for each in (client, other):
            with pytest.raises(TimeoutError):
                each.recv(0)
    for data in (b"\x80\x04]", "[1]", "eval", "{"):
        with listen(server, HMR) as client:
            client.recv(10)
            client.send(data)
            with pytest.raises(ConnectionClosed):
                client.recv(10)
            assert client.close_code == 1007
    assert not marker.exists()
    assert server.answers()


def test_the_editor_opens_nothing_without_the_token(server: ServerProcess) -> None:
    head = f"POST /_longwave/open?file={server.root}/secrets.txt&line=1 HTTP/1.1\r\nHost: localhost\r\n"
    for fields in ("", "X-Longwave-Token: no\r\n", "Sec-Fetch-Site: cross-site\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
            sock.sendall(f"{head}{fields}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            assert sock.recv(65536).split(b" ", 2)[1] == b"403"


def test_no_secret_is_in_the_terminal(server: ServerProcess) -> None:
    assert SECRET not in server.output and token_of(server) not in server.output

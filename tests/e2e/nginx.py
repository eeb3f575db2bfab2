"""nginx with the configuration of docs/how-to/deploy.md, as a process of its own."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.docs.samples import ROOT, blocks_of
from tests.e2e.process import free_port
from tests.tools import nginx

__all__ = ["behind_nginx", "certificate"]

PAGE = ROOT / "docs" / "how-to" / "deploy.md"
AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost; return its path and that of its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout {key} -out {cert}".split(),
        check=True,
        capture_output=True,
    )
    return cert, key


@contextlib.contextmanager
def behind_nginx(folder: Path, target: int) -> Iterator[int]:
    """Run nginx before the server at the port `target`; give the port at which it speaks TLS."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    program = nginx()
    assert program is not None
    file = folder / "nginx.conf"
    file.write_text(AROUND.format(folder=folder, site=_site(folder, port, target)))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait(process, port, folder / "log")
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _site(folder: Path, port: int, target: int) -> str:
    """Return the sample of the page, with what differs here in the place of what stands there."""
    (sample,) = [block.code for block in blocks_of(PAGE) if block.language == "nginx"]
    cert, key = certificate(folder)
    for old, new in (
        ("server 127.0.0.1:8000;", f"server 127.0.0.1:{target};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("/etc/ssl/example.com.pem", str(cert)),
        ("/etc/ssl/example.com.key", str(key)),
        # When to come again, in milliseconds: nobody has to be spread here.
        *((f" {late}000;", f" {late}00;") for late in (2, 4, 6, 8)),
    ):
        assert sample.count(old) == 1, old
        sample = sample.replace(old, new)
    return sample


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.02)

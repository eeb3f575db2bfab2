"""Checks of the how-to guides and the topics."""

from __future__ import annotations

import pytest

from longwave.testing import RefusedError, TestClient
from tests.docs.registry import check
from tests.docs.samples import Sample

AUTH = "docs/how-to/authentication.md"


async def refusal(client: TestClient, path: str, **options: object) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        async with client.websocket(path, **options):  # type: ignore[arg-type]
            pass
    return refused.value


@check(AUTH, "cookie")
async def cookie(sample: Sample) -> None:
    async with sample.client(scheme="https") as client:
        error = await refusal(client, "/ws/private")
        assert error.response.json() == {"error": True, "status": 401, "message": "log in first"}
        assert (await client.post("/login", form={"password": "123"})).status == 403
        assert (await client.post("/login", form={"password": "correct horse"})).status == 204
        async with client.websocket("/ws/private") as ws:
            assert await ws.receive() == "Hello, Ada."
        foreign = await refusal(client, "/ws/private", headers={"origin": "https://evil.example"})
        assert foreign.response.status == 403


@check(AUTH, "token")
async def token(sample: Sample) -> None:
    async with sample.client() as client:
        for path in ("/ws/prices", "/ws/prices?token=wrong"):
            response = (await refusal(client, path)).response
            assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
            assert response.text == "a token, please"
        async with client.websocket("/ws/prices?token=t0ken") as ws:
            assert await ws.receive() == "Hello, robot."
        async with client.websocket("/ws/prices", headers={"authorization": "Bearer t0ken"}) as ws:
            assert await ws.receive() == "Hello, robot."
        assert (await client.get("/api/prices", headers={"accept": "text/event-stream"})).status == 401
        async with client.events("/api/prices?token=t0ken") as stream:
            sample_app = client.app
            sample_app.publish("prices", 7)  # type: ignore[attr-defined]
            assert (await stream.receive()).data == "7"


@check(AUTH, "subprotocol")
async def subprotocol(sample: Sample) -> None:
    async with sample.client() as client:
        assert (await refusal(client, "/ws/notes")).response.status == 401
        assert (await refusal(client, "/ws/notes", protocols=["notes.v1", "token.no"])).response.status == 401
        async with client.websocket("/ws/notes", protocols=["notes.v1", "token.t0ken"]) as ws:
            assert ws.protocol == "notes.v1"
            assert await ws.receive() == "Hello, Ada. We speak notes.v1."


@check(AUTH, "middleware")
async def middleware(sample: Sample) -> None:
    async with sample.client() as client:
        for path in ("/admin", "/admin/", "/x/../admin", "/%61dmin", "/admin/nothing"):
            assert (await client.get(path)).status == 401, path
        assert (await refusal(client, "/admin")).response.status == 401
        with_token = await client.get("/admin", headers={"authorization": "Bearer t0ken"})
        assert with_token.text == "the keys of the house"

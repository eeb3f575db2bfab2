from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from longwave.app.error_reply import describe, encode_reply, error_fields, error_reply
from longwave.contract import failed_reply
from longwave.errors import HTTPError


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_an_error_in_a_line() -> None:
    assert describe(KeyError("x")) == "KeyError: 'x'"
    assert describe(Silent()) == "Silent"


def test_errors_have_one_shape() -> None:
    response = error_reply(HTTPError(418, "tea", data=[1], headers={"X-A": "1", "content-type": "a/b"}))
    assert json.loads(response.body) == {"error": True, "status": 418, "message": "tea", "data": [1]}
    assert response.headers == [(b"x-a", b"1"), (b"content-type", b"application/json")]


def test_what_was_not_meant_is_one_answer_that_tells_nothing() -> None:
    hidden = encode_reply(None, KeyError("secret"), False)
    assert hidden == failed_reply() == error_reply(HTTPError(500, "Server Error"), unhandled=True)
    assert json.loads(encode_reply(None, KeyError("shown"), True).body)["message"] == "KeyError: 'shown'"


cyclic: list[Any] = []
cyclic.append(cyclic)


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(400, data=object()),
        HTTPError(400, data="\ud800"),
        HTTPError(400, data=cyclic),
        HTTPError(400, headers={"x": "a\nb"}),
        HTTPError(400, headers={"x": "\u20ac"}),
        HTTPError(400, headers={"a b": "x"}),
        HTTPError(400, headers={"x": 5}),  # type: ignore[dict-item]
        HTTPError(400, "\ud800", data=object(), headers={"x": "\0"}),
        HTTPError(400, 7),  # type: ignore[arg-type]
    ],
)
def test_an_error_that_cannot_be_sent_whole_is_sent_without(
    error: HTTPError, caplog: pytest.LogCaptureFixture
) -> None:
    error.headers["x-good"] = "1"
    with caplog.at_level(logging.ERROR, "longwave.error"):
        response = error_reply(error)
    document = json.loads(response.body)
    assert document["status"] == response.status == 400 and "data" not in document
    assert (b"x-good", b"1") in response.headers and len(response.headers) == 2
    if error.data is not None or len(error.headers) > 1:
        assert "cannot be sent" in caplog.text
    assert error_fields(error) == [(b"x-good", b"1")]

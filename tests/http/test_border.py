"""What holds on every route: keys, scopes, one shape of errors, refusal before reading."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from app.deps import REMEMBERED_S
from app.keys import revoke_key
from app.settings import Settings
from tests.http.conftest import NOW_US, SCOPES, Service

# Somebody else's protocol, whose parameters are more than we know (docs/formats.md).
TOLERANT = "/v1/feeds/osmand"
OPENS = {
    "ingest": {"ingest"},
    "view": {"view"},
    "plan": {"plan", "view"},
    "admin": {"ingest", "view", "plan", "admin"},
}


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """One database serves: what is tested here does not reach it."""
    return sqlite_settings


def operations(service: Service) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path with its gaps filled, and description of each documented operation."""
    for path, methods in service.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path.replace("{id}", "nothing"), operation


def scope_of(operation: dict[str, Any]) -> str | None:
    ways = operation.get("security", [])
    return next((scope for way in ways for scopes in way.values() for scope in scopes), None)


def assert_problem(answer: Any, status: int) -> dict[str, Any]:
    """The members of a problem document of RFC 9457, which the answer must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()
    assert said["status"] == status
    assert said["type"] == "about:blank"
    assert all(isinstance(said[name], str) and said[name] for name in ("title", "detail"))
    assert answer.headers["x-request-id"]
    return said


def test_no_key_no_answer_whatever_else_is_wrong(service: Service) -> None:
    # An unknown id, an unknown parameter and a body that is none: still 401, as without a key
    # nothing is said at all.
    guarded = 0
    for method, path, operation in operations(service):
        if scope_of(operation) is None:
            continue
        guarded += 1
        for headers in ({}, {"Authorization": "Bearer fp_unknown"}, {"X-API-Key": "no key"}):
            answer = service.call(
                method, f"{path}?unknown=1", None, content=b"\xff{", headers=headers
            )
            assert_problem(answer, 401)
            assert answer.headers.get_list("www-authenticate")[0].startswith("Bearer ")
    assert guarded >= 11


def test_each_route_opens_to_its_scope_alone_whatever_else_is_wrong(service: Service) -> None:
    for method, path, operation in operations(service):
        needed = scope_of(operation)
        for scope in SCOPES if needed else ():
            answer = service.call(method, f"{path}?unknown=1", scope, content=b"\xff{")
            if path == TOLERANT and needed in OPENS[scope]:
                assert answer.status_code == 200
            else:
                assert_problem(answer, 400 if needed in OPENS[scope] else 403)


def test_a_key_is_taken_from_four_places(service: Service) -> None:
    key = service.keys["view"]
    password = base64.b64encode(f"anybody:{key}".encode()).decode()
    ways: list[dict[str, Any]] = [
        {"headers": {"Authorization": f"Bearer {key}"}},
        {"headers": {"authorization": f"bearer {key}"}},
        {"headers": {"X-API-Key": key}},
        {"headers": {"Authorization": f"Basic {password}"}},
        {"params": {"api_key": key}},
    ]
    for way in ways:
        assert service.get("/v1/districts", None, **way).status_code == 200
    for wrong in ("Basic !!!", "Basic", "Bearer", "Digest x", "Bearer fp_", "Basic YQ=="):
        assert_problem(service.get("/v1/districts", None, headers={"Authorization": wrong}), 401)


def test_a_revoked_key_opens_nothing_soon_after(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.get("/v1/districts").status_code == 200
    revoke_key(service.client.app.state.database, "view", NOW_US)
    assert REMEMBERED_S < 5
    monkeypatch.setattr("app.deps.REMEMBERED_S", 0)
    keyring = service.client.app.state.keyring
    keyring._known = {
        digest: (until - REMEMBERED_S, caller) for digest, (until, caller) in keyring._known.items()
    }
    assert_problem(service.get("/v1/districts"), 401)


def test_a_script_is_not_asked_for_a_password(service: Service) -> None:
    # A browser opens its own dialogue on `Basic`; right for a link, wrong under a page's script.
    link = service.get("/v1/units", None, headers={"Sec-Fetch-Mode": "navigate"})
    script = service.get("/v1/units", None, headers={"Sec-Fetch-Mode": "cors"})
    kinds = [[w.split()[0] for w in a.headers.get_list("www-authenticate")] for a in (link, script)]
    assert kinds == [["Bearer", "Basic"], ["Bearer"]]


def test_unknown_parameters_are_refused_on_every_route_but_one(service: Service) -> None:
    for method, path, _ in operations(service):
        answer = service.call(method, path, params={"unknwon": "1"})
        if path == TOLERANT:
            assert answer.status_code == 200
        else:
            assert "unknwon" in assert_problem(answer, 400)["detail"]
    twice = [("from", "0"), ("from", "1")]
    assert_problem(service.get("/v1/units/nobody/track", params=twice), 400)


def test_addresses_that_are_none(service: Service) -> None:
    assert_problem(service.get("/nowhere", None), 404)
    assert_problem(service.get("/v1/nowhere"), 404)
    assert_problem(service.get("/v1/nowhere", None), 401)  # not even which addresses there are
    assert_problem(service.get("/v1/units/"), 404)  # no redirect that would carry a key along


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/plans", "GET, HEAD, POST"),
        ("GET", "/v1/pings", "POST"),
        ("POST", "/v1/districts", "GET, HEAD"),
        ("POST", "/v1/districts/a", "GET, HEAD, PUT"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/v1/units/a/track", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed(
    service: Service, method: str, path: str, allowed: str
) -> None:
    answer = service.call(method, path)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed


def test_head_answers_like_get_without_the_body(service: Service) -> None:
    for path in ("/healthz", "/v1/units", "/v1/units/nobody/track"):
        get, head = service.get(path), service.call("HEAD", path, "view")
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_a_request_id_is_kept_if_harmless(service: Service) -> None:
    kept = service.get("/healthz", headers={"X-Request-ID": "dispatch-17"})
    assert kept.headers["x-request-id"] == "dispatch-17"
    made = service.get("/healthz", headers={"X-Request-ID": "a b\tc"})
    assert len(made.headers["x-request-id"]) == 32


def test_answers_are_kept_by_nobody_and_tell_nobody_where_they_were_found(
    service: Service,
) -> None:
    headers = service.get("/v1/units").headers
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/plans"), ("PUT", "/v1/districts/a"), ("POST", "/v1/pings")]
)
def test_bodies_of_another_kind_are_415(service: Service, method: str, path: str) -> None:
    for headers in (
        {"Content-Type": "text/csv"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "br"},
    ):
        assert_problem(service.call(method, path, content=b"[]", headers=headers), 415)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 5_000, b'{"a": ' + b"9" * 5_000 + b"}"],
    ids=["empty", "cut", "not UTF-8", "deep", "long number"],
)
def test_a_body_that_is_no_json_is_400(service: Service, body: bytes) -> None:
    for method, path in (("POST", "/v1/plans"), ("PUT", "/v1/districts/a"), ("POST", "/v1/pings")):
        answer = service.call(
            method, path, content=body, headers={"Content-Type": "application/json"}
        )
        # Of a body that is not there all members are missing; a number has as many digits as it
        # likes where items are refused one by one.
        readable = path == "/v1/pings" if b"999" in body else not body and path != "/v1/pings"
        assert_problem(answer, 422 if readable else 400)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/plans"), ("PUT", "/v1/districts/a"), ("POST", "/v1/pings")]
)
def test_too_large_is_refused_before_it_is_taken_in(
    service: Service, method: str, path: str
) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b" " * (1 << 20)

    json = {"Content-Type": "application/json"}
    assert_problem(service.call(method, path, content=endless(), headers=json), 413)
    declared = json | {"Content-Length": str(1 << 30)}
    assert_problem(service.call(method, path, content=b"[]", headers=declared), 413)


def test_half_a_surrogate_pair_is_quoted_without_harm(service: Service) -> None:
    body = b'{"\\ud800": 1, "district": "\\ud800"}'
    answer = service.call(
        "POST", "/v1/plans", content=body, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 422)
    assert_problem(service.get("/v1/districts?%ED%A0%80=1"), 400)

"""The OpenAPI document: valid, complete, and true of what the service does."""

import re
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import requests
import schemathesis
from openapi_spec_validator import validate
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.main import create_app
from app.settings import Settings
from tests import town
from tests.http.conftest import Service
from tests.http.test_border import operations, scope_of

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
EXAMPLES = 20


@pytest.fixture
def settings(sqlite_settings: Settings) -> Settings:
    """One database serves: the document is the same on both."""
    return sqlite_settings


@pytest.fixture
def document(service: Service) -> Any:
    return service.get("/openapi.json", None).json()


def test_the_document_is_valid(document: Any) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_documents_its_problems(service: Service, document: Any) -> None:
    for method, path, operation in operations(service):
        responses = operation["responses"]
        assert {"400", "500"} <= responses.keys(), path
        if scope_of(operation):
            assert {"401", "403", "503"} <= responses.keys(), path
        if "requestBody" in operation:
            assert {"413", "415", "422"} <= responses.keys(), path
        problems = [r for status, r in responses.items() if int(status) >= 400]
        for problem in problems:
            schema = problem["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}, (method, path)


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(part: Any) -> set[str]:
        if isinstance(part, dict):
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values()))
        return set().union(*map(references, part)) if isinstance(part, list) else set()

    for reference in references(document):
        target = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]


def test_four_ways_to_bring_a_key(document: Any) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {(s["type"], s.get("scheme", s.get("in"))) for s in schemes.values()} == {
        ("http", "bearer"),
        ("http", "basic"),
        ("apiKey", "header"),
        ("apiKey", "query"),
    }


def calls() -> list[tuple[str, str]]:
    paths = create_app(Settings(database_url="sqlite://")).openapi()["paths"]
    # A stream has no end; it is tested in test_events.
    return [(m, path) for path, methods in paths.items() for m in methods if path != "/v1/events"]


@pytest.mark.parametrize(("method", "path"), calls())
def test_answers_are_as_documented_whatever_is_asked(
    town_service: Service, method: str, path: str
) -> None:
    plan = town_service.post(
        "/v1/plans", {"district": "town", "shift": "day", "date": "2024-01-03"}
    )
    known = {"units": town.UNITS[0], "plans": plan.json()["id"], "districts": "town"}
    known |= {"places": "station", "rules": "night"}
    schema = schemathesis.openapi.from_dict(town_service.get("/openapi.json").json())
    operation = schema[path][method.upper()]

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(), there=st.booleans())
    def ask(case: Case[Any], there: bool) -> None:
        if there and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = known[path.split("/")[2]]
        for place in (case.query, case.body) if there else ():
            if isinstance(place, dict) and "district" in place:
                place["district"] = "town"
            if isinstance(place, dict) and "shift" in place:
                place["shift"] = "day"
        sent = requests.Request(**case.as_transport_kwargs(base_url="http://service")).prepare()
        # The generated keys are no keys; with them an answer would be 401 and nothing else.
        headers = {n: v for n, v in sent.headers.items() if n not in ("Authorization", "X-API-Key")}
        url = re.sub(r"([?&])api_key=[^&]*&?", r"\1", str(sent.url))
        answer = town_service.call(method.upper(), url, "admin", content=sent.body, headers=headers)
        assert answer.status_code != 500, answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()

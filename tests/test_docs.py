"""What the documents name exists, and what exists is named there."""

import dataclasses
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from app import cli, schemas
from app.checks import CODES
from app.errors import STATUS as STATUS_OF_ERROR
from app.feeds import Feed, feed_of
from app.geo.fixes import REASONS
from app.geo.risk import COMPONENTS
from app.main import create_app
from app.profile import FIELDS, Profile, profile_of, shipped_profiles
from app.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = typer.main.get_command(cli.app)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows(page: str, first: str) -> list[list[str]]:
    """The rows of the table whose head begins with `first`."""
    lines = iter(read(page).splitlines())
    heads = (line for line in lines if line.startswith(f"| {first} |"))
    assert next(heads, None), f"{page} has no table that begins with {first!r}"
    assert next(lines).startswith("|---")
    found = []
    for line in lines:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in line.strip()[1:-1].split("|")])
    return found


def words(text: str) -> list[str]:
    """What stands in `backticks`."""
    return re.findall(r"`([^`]+)`", text)


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(
            rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S
        ):
            yield name(page), found[1]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{target} in {name(page)}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), f"{target} in {name(page)}"


def test_every_page_can_be_reached() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+)\)", page.read_text(encoding="utf-8"))
    }
    assert {name(page) for page in set(PAGES) - linked} == {"README.md"}


def test_settings() -> None:
    documented = {
        words(row[0])[0]: (words(row[1]) or [""])[0]
        for row in rows("docs/operations.md", "variable")
    }
    assert documented == {
        f"FOCUS_PATROL_{field.upper()}": str(info.default)
        for field, info in Settings.model_fields.items()
    }


def test_no_variable_is_named_that_is_not_read() -> None:
    known = {f"FOCUS_PATROL_{field.upper()}" for field in Settings.model_fields}
    known.add("FOCUS_PATROL_TEST_POSTGRES")  # read by the tests alone
    for file in [*PAGES, ROOT / "Dockerfile", ROOT / "compose.yaml"]:
        named = set(re.findall(r"\bFOCUS_PATROL_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8")))
        assert named <= known, name(file)


def commands(group: Any, path: str = "focus-patrol") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {word}")
        else:
            yield f"{path} {word}", command


def test_commands_and_their_options() -> None:
    documented = {
        words(row[0])[0]: set(words(row[1])) for row in rows("docs/operations.md", "command")
    }
    there = {
        path: {option for p in command.params for option in p.opts if option.startswith("--")}
        for path, command in commands(COMMANDS)
    }
    assert documented.keys() == there.keys()
    for path, options in there.items():
        named = {word for word in documented[path] if word.startswith("--")}
        assert named == options - {"--help"}, path


def console_lines() -> list[tuple[str, list[str]]]:
    """Each command that a page shows, as words; `$` is the prompt."""
    return [
        (page, shlex.split(line[2:]))
        for page, block in blocks("console")
        for line in block.replace("\\\n", " ").splitlines()
        if line.startswith("$ ")
    ]


def test_shown_commands_can_be_typed() -> None:
    targets = set(re.findall(r"^(\w+):", read("Makefile"), re.M))
    for page, line in console_lines():
        said = f"{page}: {' '.join(line)}"
        if line[0] == "make":
            assert line[1] in targets, said
        starts = [i for i, word in enumerate(line) if word.rpartition("/")[2] == "focus-patrol"]
        for start in starts:
            command, arguments = COMMANDS, line[start + 1 :]
            while hasattr(command, "commands"):
                assert arguments, said
                assert arguments[0] in {*command.commands, "--help"}, said
                if arguments[0] == "--help":
                    break
                command, arguments = command.commands[arguments[0]], arguments[1:]
            else:
                command.make_context("focus-patrol", list(arguments))  # raises where it is wrong


def test_snippets_parse() -> None:
    for page, block in blocks("json"):
        assert json.loads(block), page
    for page, block in blocks("python"):
        compile(block, page, "exec")


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Method and path of each route in the OpenAPI document, with its scope, or a dash."""
    nowhere = tmp_path_factory.mktemp("docs") / "never.db"
    paths = create_app(Settings(database_url=f"sqlite:///{nowhere}")).openapi()["paths"]
    return {
        f"{method.upper()} {path}": next(
            (scope for way in operation.get("security", []) for s in way.values() for scope in s),
            "–",
        )
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


def test_routes_and_their_scopes(routes: dict[str, str]) -> None:
    documented = {
        re.sub(r"{\w+}", "{}", words(row[0])[0]): words(row[1])[0] if words(row[1]) else "–"
        for row in rows("docs/api.md", "call")
    }
    outside = {"GET /": "–", "GET /docs": "–", "GET /openapi.json": "–"}  # pages, not interface
    there = {re.sub(r"{\w+}", "{}", call): scope for call, scope in routes.items()}
    assert documented == outside | there


@pytest.mark.parametrize(
    ("thing", "members"),
    [
        ("ping", FIELDS["pings"]),
        ("incident", FIELDS["incidents"]),
        ("plan", schemas.Plan.model_fields),
        ("zone", schemas.Zone.model_fields),
    ],
    ids=["ping", "incident", "plan", "zone"],
)
def test_members(thing: str, members: Iterable[str]) -> None:
    documented = [
        word
        for row in rows("docs/api.md", f"member of a{'n' * (thing[0] == 'i')} {thing}")
        for word in words(row[0])
    ]
    assert sorted(documented) == sorted(members)


def test_codes_of_receipts() -> None:
    assert [words(row[0])[0] for row in rows("docs/api.md", "code")] == list(CODES)


def test_statuses_of_errors() -> None:
    documented = [int(row[0]) for row in rows("docs/api.md", "status")]
    assert documented == sorted(STATUS_OF_ERROR.values())


def test_modules_are_where_the_architecture_says() -> None:
    documented = {
        word.rstrip("/") for row in rows("docs/architecture.md", "module") for word in words(row[0])
    }
    app = ROOT / "app"
    there = {name(path) for path in app.glob("*.py") if path.stem != "__init__"}
    there |= {name(path) for path in app.glob("geo/*.py") if path.stem != "__init__"}
    there |= {name(path) for path in app.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert documented == there - {"app/geo"}  # its stages are listed one by one


def parameter_classes() -> list[type]:
    modules = [
        importlib.import_module(f"app.geo.{path.stem}")
        for path in sorted((ROOT / "app" / "geo").glob("[!_]*.py"))
    ]
    return [
        thing
        for module in modules
        for title, thing in vars(module).items()
        if title.endswith("Parameters") and thing.__module__ == module.__name__
    ]


@pytest.mark.parametrize("kind", parameter_classes(), ids=lambda kind: kind.__name__)
def test_model_values_and_their_defaults(kind: type) -> None:
    made = kind()
    plain = {
        field.name: getattr(made, field.name)
        for field in dataclasses.fields(kind)
        if not dataclasses.is_dataclass(getattr(made, field.name))
        and field.name not in ("components", "features")
    }
    if not plain:
        return  # only holds other parameters
    documented = {
        words(row[0])[0]: ", ".join(words(row[1])) or row[1]
        for row in rows("docs/model.md", f"parameter of `{kind.__name__}`")
    }
    assert documented == {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        for name, value in plain.items()
    }


def test_components_of_the_risk() -> None:
    documented = [(words(row[0])[0], float(row[1])) for row in rows("docs/model.md", "component")]
    assert documented == [(part.name, part.weight) for part in COMPONENTS]


def test_reasons_why_pings_are_set_aside() -> None:
    documented = [words(row[0])[0] for row in rows("docs/model.md", "reason")]
    assert documented == list(REASONS[1:])  # the first is "kept"


def test_profiles_and_their_members() -> None:
    assert [words(row[0])[0] for row in rows("docs/operations.md", "profile")] == shipped_profiles()
    members = [word for row in rows("docs/operations.md", "member") for word in words(row[0])]
    assert sorted(members) == sorted(Profile.__struct_fields__)


def test_members_of_feeds() -> None:
    members = [
        word for row in rows("docs/operations.md", "member of a feed") for word in words(row[0])
    ]
    assert members == list(Feed.__struct_fields__)


def test_profiles_and_feeds_that_are_shown_can_be_read() -> None:
    shown = set()
    for page, block in blocks("toml"):
        members = tomllib.loads(block)
        if "url" in members:
            shown.add(feed_of(members).kind)
        else:
            assert profile_of(members), page
    assert shown == {"socrata", "arcgis", "geojson", "csv", "ndjson", "georss"}


def test_decisions_are_numbered_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [int(file[:4]) for file in files] == list(range(1, len(files) + 1))
    listed = dict(re.findall(r"\[(\d{4})\]\((\d{4}-.*?\.md)\)", read("docs/decisions/README.md")))
    assert sorted(listed.values()) == files
    for file in files:
        assert (folder / file).read_text(encoding="utf-8").startswith(f"# {file[:4]} "), file


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:  # no checkout, such as an unpacked archive
        return [*PAGES, *(ROOT / "app").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    return [ROOT / file for file in listed.stdout.decode().split("\0") if file]


def test_nothing_speaks_of_the_machine_it_was_made_on() -> None:
    machine = re.compile(
        r"(?<![\w.])/(?:work|root|home/\w+|Users)/|\bpy" + r"pi\.org|pythonhosted|npmjs\.org"
    )
    for path in tracked():
        if path.exists() and path.suffix not in {".png", ".gz", ".parquet"}:
            found = machine.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found or path == Path(__file__), f"{name(path)}: {found and found[0]}"

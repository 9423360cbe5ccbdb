"""The house rules that a machine can check, so that nobody has to remember them."""

import ast
import graphlib
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
APP = sorted((ROOT / "app").rglob("*.py"))
ALL = sorted(path for top in ("app", "tests", "migrations") for path in (ROOT / top).rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Needed though nothing in app imports them, each with the one who does.
LOADED_BY_NAME = {
    "h3": "those who go on with the cells of an answer, and the tests, beside h3ronpy",
    "psycopg": "SQLAlchemy, for postgresql+psycopg://",
    "tzdata": "zoneinfo, where the system has no time zones",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {name(path): ast.parse(path.read_text(encoding="utf-8")) for path in ALL}


def test_imports_point_down_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(no_cache=True, no_logo=True)
    assert status == 0, capsys.readouterr().out


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = grimp.build_graph("app", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError, which names the cycle


def test_a_file_has_at_most_400_lines() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    assert {file: lines for file, lines in lengths.items() if lines > 400} == {}


def test_a_function_has_at_most_60_lines_besides_its_docstring(
    trees: dict[str, ast.Module],
) -> None:
    lengths = {
        f"{file}:{node.lineno} {node.name}": body_lines(node)
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > 60} == {}


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def uses(trees: dict[str, ast.Module], pattern: str, *, called: bool = False) -> set[str]:
    """Files of app with a dotted name, such as `os.environ`, that the pattern matches whole.

    `called`: only where it is called, as in `connection.commit()`.
    """
    found = set()
    for file, tree in trees.items():
        for node in ast.walk(tree) if file.startswith("app/") else ():
            dotted = node.func if called and isinstance(node, ast.Call) else node
            if isinstance(dotted, ast.Attribute) and (dotted is not node) == called:
                found |= {file} if re.fullmatch(pattern, ast.unparse(dotted)) else set()
    return found


def test_one_module_reads_the_environment(trees: dict[str, ast.Module]) -> None:
    assert uses(trees, r"os\.(environ|environb|getenv|putenv)") == set()  # pydantic-settings does


def test_one_module_commits(trees: dict[str, ast.Module]) -> None:
    assert uses(trees, r".*\.(commit|begin)", called=True) == {"app/db.py"}


def test_the_clock_is_read_at_the_edge_and_passed_down(trees: dict[str, ast.Module]) -> None:
    clock = r"(.*\.)?(datetime\.(now|utcnow|today)|date\.today|time\.(time|time_ns))"
    assert uses(trees, clock) <= {"app/deps.py", "app/cli.py"}


def test_randomness_is_passed_in(trees: dict[str, ast.Module]) -> None:
    assert uses(trees, r"(np|numpy)\.random\.(?!Generator|default_rng|SeedSequence)\w+") == set()
    assert uses(trees, r"random\.\w+") == set()


def test_nothing_is_called_by_what_it_is_not() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert {path.stem for path in ALL} & vague == set()


def test_each_stage_is_tested_by_itself(trees: dict[str, ast.Module]) -> None:
    """A part of a stage, which only that stage imports, is tested with it."""
    stages = {f"app.geo.{path.stem}" for path in (ROOT / "app" / "geo").glob("[!_]*.py")}
    reached = set[str]()
    new = modules_of(trees, ("tests/unit/", "tests/property/")) & stages
    while new:
        reached |= new
        new = modules_of(trees, tuple(f"{m.replace('.', '/')}.py" for m in new)) & stages - reached
    assert stages - reached == set()


def modules_of(trees: dict[str, ast.Module], files: tuple[str, ...]) -> set[str]:
    """What the files whose names begin so import."""
    return {
        module
        for file, tree in trees.items()
        if file.startswith(files)
        for node in ast.walk(tree)
        for module in imported_modules(node)
    }


def test_each_lint_ignore_says_why() -> None:
    ignore = re.compile(
        r"# (?:noqa|type: ignore)(?P<codes>: [A-Z]+\d+(?:, [A-Z]+\d+)*|\[[\w-]+\])?(?P<reason>.*)"
    )
    silent = {
        f"{name(path)}:{number}: {found[0]}"
        for path in set(ALL) - {Path(__file__)}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (found := ignore.search(line))
        and not (found["codes"] and len(found["reason"].strip()) > 4)
    }
    assert silent == set()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported(
    trees: dict[str, ast.Module],
) -> None:
    declared = {re.split(r"[\[><=~ ]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    imported = {
        distribution.lower().replace("_", "-")
        for module in third_party(trees)
        for distribution in packages_distributions().get(module, [module])
    }
    # Parts of what is declared, named where its types are: FastAPI's, GeoPandas', Settings'.
    brought = {"anyio", "pandas", "pydantic", "pyproj", "starlette"}
    assert imported - brought - declared == set()
    assert declared - imported - set(LOADED_BY_NAME) == set()


def third_party(trees: dict[str, ast.Module]) -> set[str]:
    found = {module.split(".")[0] for module in modules_of(trees, ("app/", "migrations/"))}
    return found - set(sys.stdlib_module_names) - {"app", "migrations"}


def imported_modules(node: ast.AST) -> set[str]:
    """What an import statement may bring: `from a import b` brings a, and perhaps a.b."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()

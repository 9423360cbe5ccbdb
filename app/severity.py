"""Versioned tables of how much harm an incident of a category stands for, read from TOML.

A table gives weights to offence classes and says which source categories fall into which class;
a profile may add its own. Nothing here knows where incidents come from.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from app.errors import BadInput

DEFAULT = "canada_2009"


@dataclass(frozen=True)
class SeverityTable:
    """Weights per offence class, in `unit`, with where and when they were published.

    `cap`: what an incident may weigh at most, so that a single one does not steer a year;
    `fallback`: what a category outside the table weighs. `classes`: source category to class.
    """

    name: str
    title: str
    source: str
    year: int
    unit: str
    cap: float
    fallback: float
    weights: Mapping[str, float]
    classes: Mapping[str, str]


@dataclass(frozen=True)
class Severity:
    """Weights of the categories that were asked for, and notes on what had to be assumed."""

    table: str
    weights: Mapping[str, float]
    notes: tuple[str, ...]


def names() -> tuple[str, ...]:
    """The tables that ship, in alphabetical order."""
    folder = resources.files("app") / "severity"
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


@cache
def table(name_or_file: str = DEFAULT) -> SeverityTable:
    """The table of that name, or the one in that TOML file.

    Raises BadInput where there is none, or it lacks a member, or a weight makes no sense.
    """
    if name_or_file in names():
        text = (resources.files("app") / "severity" / f"{name_or_file}.toml").read_text("utf-8")
        name = name_or_file
    else:
        path = Path(name_or_file)
        if path.suffix != ".toml" or not path.is_file():
            raise BadInput(
                f"no severity table is called {name_or_file!r}; there are {', '.join(names())}, "
                "or give a .toml file"
            )
        text, name = path.read_text("utf-8"), path.stem
    try:
        return _table(name, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadInput(f"severity table {name_or_file!r} cannot be used: {error}") from error


def severity_of(
    categories: Iterable[str],
    name_or_file: str = DEFAULT,
    classes: Mapping[str, str] | None = None,
) -> Severity:
    """What an incident of each category weighs, at most the cap; unknown ones get the fallback.

    `classes`: further source categories and their classes, such as a profile brings; they go
    before the table's own. Letter case does not matter. No categories give no weights.
    """
    known = table(name_or_file)
    to_class = {text.casefold(): kind for text, kind in known.classes.items()}
    to_class |= {text.casefold(): kind for text, kind in (classes or {}).items()}
    weights: dict[str, float] = {}
    assumed: list[str] = []
    for category in categories:
        kind = to_class.get(category.casefold(), category)
        if kind not in known.weights and known.weights:
            assumed.append(category)
        weights[category] = min(known.cap, known.weights.get(kind, known.fallback))
    return Severity(known.name, weights, _notes(known, sorted(assumed)))


def _notes(known: SeverityTable, assumed: list[str]) -> tuple[str, ...]:
    if not assumed:
        return ()
    shown = ", ".join(category or "(blank)" for category in assumed[:5])
    rest = f" and {len(assumed) - 5} more" if len(assumed) > 5 else ""
    return (
        f"{known.title} {known.year} has no weight for {shown}{rest}: "
        f"counted with {known.fallback:g} {known.unit} each",
    )


def _table(name: str, read: Mapping[str, Any]) -> SeverityTable:
    weights = {str(key): float(value) for key, value in read["weights"].items()}
    cap, fallback = float(read["cap"]), float(read["fallback"])
    for key, value in {**weights, "cap": cap, "fallback": fallback}.items():
        if not 0 <= value < float("inf"):
            raise ValueError(f"{key} weighs {value}; a weight is a finite number of 0 or more")
    classes = {str(key): str(value) for key, value in read["classes"].items()}
    for category, kind in classes.items():
        if kind not in weights:
            raise ValueError(f"{category!r} belongs to {kind!r}, which has no weight")
    return SeverityTable(
        name,
        str(read["title"]),
        str(read["source"]),
        int(read["year"]),
        str(read["unit"]),
        cap,
        fallback,
        weights,
        classes,
    )

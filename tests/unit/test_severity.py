import pytest

from app import severity
from app.errors import BadInput


@pytest.mark.parametrize("name", severity.names())
def test_every_table_that_ships_says_where_it_is_from(name):
    table = severity.table(name)
    assert table.source
    assert table.year > 1900
    assert all(kind in table.weights for kind in table.classes.values())


def test_weights_are_those_of_the_source():
    # Statistics Canada 85-004-X (2009), Table 1: break-in 187, theft under $5,000 37.
    found = severity.severity_of(["Break and Enter Commercial", "Other Theft"], "canada_2009")
    assert found.weights == {"Break and Enter Commercial": 187, "Other Theft": 37}
    assert found.notes == ()


def test_one_homicide_does_not_steer_a_year():
    # Murder weighs 7,042 in the source and is capped at a robbery's 583.
    assert severity.severity_of(["Homicide"]).weights["Homicide"] == 583


def test_an_unknown_category_counts_as_the_mean_offence_and_is_noted():
    found = severity.severity_of(["Jaywalking"])
    assert found.weights == {"Jaywalking": 69}
    assert "Jaywalking" in found.notes[0]


def test_a_profile_may_say_what_its_categories_are():
    assert severity.severity_of(["5A"], classes={"5a": "robbery"}).weights == {"5A": 583}


def test_the_flat_table_weighs_everything_alike_without_a_note():
    found = severity.severity_of(["Homicide", "Other Theft"], "flat")
    assert set(found.weights.values()) == {1.0}
    assert found.notes == ()


def test_own_table_from_a_file(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        'title = "Own"\nsource = "us"\nyear = 2020\nunit = "points"\ncap = 9\nfallback = 2\n'
        "[weights]\nfight = 5\n[classes]\nbrawl = 'fight'\n"
    )
    assert severity.severity_of(["brawl"], str(file)).weights == {"brawl": 5}


@pytest.mark.parametrize("text", ["", "[weights]\n", "not toml at all ="])
def test_a_table_that_cannot_be_used_is_refused(tmp_path, text):
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(BadInput, match="cannot be used"):
        severity.table(str(file))


def test_no_table_of_that_name():
    with pytest.raises(BadInput, match="canada_2009"):
        severity.table("none")

"""Cleaning: each reason on a track where it is plain. One degree of latitude is 111.2 km."""

import numpy as np
import pytest

from app.geo.fixes import REASONS, Pings, blocks, concat, no_pings, pings_of, set_aside

LAT, LON = 44.48, -79.80
START_US = 1_704_096_000_000_000
M = 1 / 111_195  # degrees of latitude in a metre


def track(*steps: tuple[float, float], unit: int = 1) -> Pings:
    """Pings at (seconds, metres north) of the start."""
    seconds, north = np.array(steps, dtype=np.float64).T
    return pings_of(
        np.full(len(steps), unit),
        START_US + (seconds * 1e6).astype(np.int64),
        LAT + north * M,
        np.full(len(steps), LON),
    )


def with_column(pings: Pings, name: str, values: list[float]) -> Pings:
    columns = {**vars(pings), name: np.array(values, dtype=getattr(pings, name).dtype)}
    return Pings(**columns)


def reasons(pings: Pings) -> list[str]:
    return [REASONS[code] for code in set_aside(pings)]


def test_a_plausible_track_is_kept() -> None:
    # 300 m in 10 s are 30 m/s; a ping after an hour is judged by nobody, however far it is.
    assert reasons(track((0, 0), (10, 300), (20, 600), (3620, 300_000))) == ["kept"] * 4


def test_no_pings_have_no_reasons() -> None:
    assert set_aside(no_pings()).tolist() == []


def test_positions_that_are_none() -> None:
    pings = track((0, 0), (10, 0), (20, 0), (30, 0), (40, 0))
    pings = with_column(pings, "lat", [LAT, np.nan, 91.0, 0.0, np.inf])
    pings = with_column(pings, "lon", [LON, LON, LON, 0.0, LON])
    assert reasons(pings) == [
        "kept", "no_position", "impossible_position", "null_island", "no_position"
    ]  # fmt: skip


def test_of_duplicates_the_one_whose_content_sorts_first_is_kept() -> None:
    twice = concat([track((0, 0), (10, 5)), track((10, 2))]).ordered()
    assert reasons(twice) == ["kept", "kept", "duplicate"]
    assert twice.lat[1] == pytest.approx(LAT + 2 * M)
    # A duplicate that is nowhere does not stand in for the good one.
    nowhere = with_column(track((0, 0), (0, 5)), "lat", [-95.0, LAT])
    assert reasons(nowhere) == ["impossible_position", "kept"]


def test_accuracy_that_was_stated_counts() -> None:
    pings = with_column(track((0, 0), (10, 5), (20, 9)), "accuracy_m", [np.nan, 100.0, 101.0])
    assert reasons(pings) == ["kept", "kept", "inaccurate"]


def test_a_spike_is_impossible_in_and_out() -> None:
    # 5 km in 10 s are 500 m/s there and back; past it 20 m in 20 s are nothing.
    assert reasons(track((0, 0), (10, 5000), (20, 20))) == ["kept", "spike", "kept"]


def test_a_good_ping_between_two_spikes_is_kept() -> None:
    # The good one is out of reach from both spikes, too; but past it the way is 10 km in 20 s.
    pings = track((0, 0), (10, 5000), (20, 20), (30, -5000), (40, 40))
    assert reasons(pings) == ["kept", "spike", "kept", "spike", "kept"]
    # Even where both spikes are at the same place.
    pings = track((0, 0), (10, 5000), (20, 20), (30, 5000), (40, 40))
    assert reasons(pings) == ["kept", "spike", "kept", "spike", "kept"]


def test_a_jump_is_no_spike() -> None:
    # Who comes out of a tunnel 5 km on and stays there jumped, but is where it says.
    assert reasons(track((0, 0), (10, 20), (20, 5000), (30, 5020))) == ["kept"] * 4


def test_repeats_before_an_impossible_step_are_frozen() -> None:
    # 1,500 m at 25 m/s take 60 s: possible from the first at 0 s, not from the repeat at 50 s.
    frozen = track((0, 0), (10, 0), (50, 0), (60, 1500), (70, 1750))
    assert reasons(frozen) == ["kept", "frozen", "frozen", "kept", "kept"]
    # 100 m in 10 s are possible from the last: this car was parked.
    assert reasons(track((0, 0), (10, 0), (50, 0), (60, 100))) == ["kept"] * 4


def test_repeats_that_report_speed_are_frozen() -> None:
    pings = track((0, 0), (10, 0), (20, 0), (30, 0), (40, 20))
    moving = with_column(pings, "speed_mps", [8.0, 8.0, 8.0, 0.0, 8.0])
    assert reasons(moving) == ["kept", "frozen", "frozen", "frozen", "kept"]
    parked = with_column(pings, "speed_mps", [8.0, 8.0, 0.0, 0.0, 8.0])
    assert reasons(parked) == ["kept"] * 5


def test_two_boxes_under_one_unit() -> None:
    # One drives north from 0 at 10 m/s, the other from 20 km, in turn: nobody knows which is it.
    pings = track(*((10 * k, 100 * k + 20_000 * (k % 2)) for k in range(6)))
    assert reasons(pings) == ["two_boxes"] * 6
    # Five are too few to tell.
    assert reasons(pings.take(np.arange(5))) == ["kept", "spike", "kept", "spike", "kept"]
    # Seldom enough, the other one's pings are spikes.
    seldom = track((0, 0), (10, 100), (15, 20_000), (20, 200), (30, 300), (35, 20_100), (40, 400))
    assert reasons(seldom) == ["kept", "kept", "spike", "kept", "kept", "spike", "kept"]


def test_units_do_not_judge_each_other() -> None:
    pings = concat([track((0, 0), (10, 50)), track((5, 90_000), (15, 90_050), unit=2)]).ordered()
    assert reasons(pings) == ["kept"] * 4


def test_pings_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="sorted by unit and time"):
        set_aside(track((10, 0), (0, 0)))


def test_ordered_pings_are_the_same_for_any_order() -> None:
    pings = concat([track((0, 0), (10, 5)), track((10, 2), (10, 5), unit=1), track((3, 1), unit=0)])
    pings = with_column(pings, "speed_mps", [1.0, np.nan, 3.0, 2.0, 5.0])
    one = pings.ordered()
    other = pings.take(np.array([4, 2, 0, 3, 1])).ordered()
    for name in vars(one):
        assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert one.unit.tolist() == [0, 1, 1, 1, 1]
    # At 10 s: 2 m sorts before 5 m; of the two at 5 m the one without a speed before the other.
    assert str(one.speed_mps[1:].tolist()) == "[1.0, 3.0, nan, 2.0]"
    assert one.take(np.arange(3)).ordered().lat.tolist() == one.lat[:3].tolist()


def test_joining_nothing_gives_nothing() -> None:
    assert len(concat([])) == 0
    assert len(concat([no_pings(), track((0, 0))])) == 1


def test_blocks_hold_whole_units() -> None:
    pings = concat([track((0, 0), (9, 0), (20, 0)), track((0, 0), unit=2), track((0, 0), unit=3)])
    # A block of 2 ends with unit 1, whose third row it takes along; the next holds units 2 and 3.
    assert list(blocks(pings, 2)) == [(slice(0, 3), slice(0, 3)), (slice(3, 5), slice(3, 5))]
    assert list(blocks(no_pings(), 2)) == []


def test_blocks_cut_long_units_at_full_hours() -> None:
    # START_US is a full hour. Five pings half an hour apart, two to a block: the first block is
    # hour 0, the second hour 1, the third hour 2; what is within an hour of each bears on it.
    pings = concat([track((0, 0), unit=0), track(*((1800 * k, 0) for k in range(5)))])
    assert list(blocks(pings, 2)) == [
        (slice(0, 1), slice(0, 1)),
        (slice(1, 5), slice(1, 3)),
        (slice(1, 6), slice(3, 5)),
        (slice(3, 6), slice(5, 6)),
    ]

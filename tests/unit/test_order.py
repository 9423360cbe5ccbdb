import numpy as np

from app.geo.order import changes, order_of


def test_rows_are_sorted_by_the_first_column_then_the_next() -> None:
    first, second = np.array([2, 1, 2, 1]), np.array([0, 5, -7, 4])
    assert order_of(first, second).tolist() == [3, 1, 2, 0]  # (1, 4), (1, 5), (2, -7), (2, 0)
    assert order_of(first[:0]).tolist() == []


def test_columns_too_wide_for_one_number_are_sorted_the_same() -> None:
    rng = np.random.default_rng(0)
    narrow = [rng.integers(-50, 50, 200) for _ in range(3)]
    wide = [column << 40 for column in narrow]  # 47 bits each do not fit into 63
    expected = sorted(range(200), key=lambda i: [column[i] for column in narrow])
    for columns in (narrow, wide):
        found = order_of(*columns)
        rows = [[column[i] for column in columns] for i in found]
        assert rows == [[column[i] for column in columns] for i in expected]


def test_changes_of_any_column_count() -> None:
    one, other = np.array([1, 1, 1, 2]), np.array([1, 1, 3, 3])
    assert changes(one, other).tolist() == [True, False, True, True]
    assert changes(one[:0]).tolist() == []

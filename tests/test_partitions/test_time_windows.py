from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rivers.partitions import PartitionsDefinition
from rivers.partitions.time_windows import CronGrid, IntervalGrid
from rivers_core.exceptions import PartitionDefinitionError, PartitionValidationError
from rivers_core.partitions import PartitionKey

P = PartitionsDefinition
START = datetime(2024, 1, 1)


def text(definition):
    return [str(key) for key in definition.get_partition_keys()]


def assert_gapless(definition):
    """Assert that each window starts where the previous one ends, and that keys are unique."""
    keys = definition.get_partition_keys()
    windows = [definition.window_of(key) for key in keys]
    assert len(set(keys)) == len(keys)
    for (_, end), (start, _) in pairwise(windows):
        assert end == start
    return windows


def test_definition_includes_start_and_excludes_end():
    assert text(P.daily("2024-01-01", end="2024-01-04")) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert text(P.hourly("2024-01-01T22:00", end="2024-01-02T01:00")) == [
        "2024-01-01T22:00",
        "2024-01-01T23:00",
        "2024-01-02T00:00",
    ]


def test_definition_includes_window_that_starts_before_end():
    weeks = P.time_window("2024-01-01", interval_seconds=7 * 86_400, end="2024-01-10")

    assert text(weeks) == ["2024-01-01", "2024-01-08"]
    assert weeks.window_of("2024-01-08") == (datetime(2024, 1, 8), datetime(2024, 1, 15))


@pytest.mark.parametrize(
    "start", ["2024-01-01", "20240101", date(2024, 1, 1), datetime(2024, 1, 1), "2024-01-01T00:00:00"]
)
def test_start_accepts_datetime_date_and_text(start):
    assert P.daily(start, end="2024-01-03") == P.daily("2024-01-01", end=date(2024, 1, 3))


def test_start_text_is_parsed_with_fmt_first():
    definition = P.daily("03/01/2024", end="05/01/2024", fmt="%d/%m/%Y")

    assert text(definition) == ["03/01/2024", "04/01/2024"]
    assert P.daily("2024-01-03", end="2024-01-05", fmt="%d/%m/%Y") == definition


@pytest.mark.parametrize(("year", "days"), [(2023, 365), (2024, 366), (2100, 365), (2000, 366)])
def test_daily_lists_each_day_of_leap_years(year, days):
    definition = P.daily(date(year, 1, 1), end=date(year + 1, 1, 1))

    assert len(assert_gapless(definition)) == days
    assert definition.validate_partition_key(f"{year}-02-29") == (days == 366)


@pytest.mark.parametrize("day", ["2024-03-10", "2024-03-31", "2024-10-27", "2024-11-03"])
def test_hourly_ignores_daylight_saving_time(day, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    after = date.fromisoformat(day) + timedelta(days=1)
    for definition in (
        P.hourly(day, end=after),
        P.time_window(day, cron_schedule="0 * * * *", end=after),
    ):
        assert text(definition) == [f"{day}T{hour:02}:00" for hour in range(24)]
        assert_gapless(definition)


def test_cron_windows_start_on_schedule():
    months = P.time_window("2023-12-15", cron_schedule="0 0 1 * *", end="2024-04-01")
    mondays = P.time_window("2024-01-01", cron_schedule="30 6 * * MON", end="2024-01-16")

    assert text(months) == ["2024-01-01", "2024-02-01", "2024-03-01"]
    assert months.window_of("2024-02-01") == (datetime(2024, 2, 1), datetime(2024, 3, 1))
    assert text(mondays) == ["2024-01-01", "2024-01-08", "2024-01-15"]
    assert mondays.window_of("2024-01-01") == (datetime(2024, 1, 1, 6, 30), datetime(2024, 1, 8, 6, 30))


def test_cron_accepts_six_fields():
    definition = P.time_window("2024-01-01", cron_schedule="*/20 * * * * *", end="2024-01-01T00:01")

    assert text(definition) == ["2024-01-01T00:00:00", "2024-01-01T00:00:20", "2024-01-01T00:00:40"]
    assert_gapless(definition)


def test_cron_lists_leap_days():
    assert text(P.time_window("2019-01-01", cron_schedule="0 0 29 2 *", end="2030-01-01")) == [
        "2020-02-29",
        "2024-02-29",
        "2028-02-29",
    ]


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.sampled_from([1, 7, 60, 900, 3_600, 5_400, 86_400, 100_000, 604_800]),
    st.integers(1, 60),
)
def test_interval_grid_is_gapless(start, seconds, count):
    definition = P.time_window(
        start, interval_seconds=seconds, end=start + count * timedelta(seconds=seconds)
    )
    windows = assert_gapless(definition)

    assert len(windows) == count
    assert windows[0][0] == start
    assert windows[-1][1] == definition.end


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0)),
    st.sampled_from(
        ["*/15 * * * *", "0 */6 * * *", "0 0 * * *", "5 4 * * SUN", "0 0 1 * *", "*/7 * * * * *"]
    ),
    st.integers(1, 20),
)
def test_cron_grid_is_gapless(start, schedule, count):
    open_ended = P.time_window(
        start, cron_schedule=schedule, end=datetime(2032, 1, 1), fmt="%Y-%m-%dT%H:%M:%S"
    )
    ends = [open_ended.grid.first(start)]
    while len(ends) <= count:
        ends.append(open_ended._after(ends[-1]))
    definition = P.time_window(start, cron_schedule=schedule, end=ends[-1])

    assert [window[0] for window in assert_gapless(definition)] == ends[:-1]


@pytest.mark.parametrize(
    ("start", "seconds", "first"),
    [
        ("2024-01-01", 86_400, "2024-01-01"),
        ("2024-01-01T06:00", 86_400, "2024-01-01"),
        ("2024-01-01", 3_600, "2024-01-01T00:00"),
        ("2024-01-01T00:30", 3_600, "2024-01-01T00:30"),
        ("2024-01-01", 60, "2024-01-01T00:00"),
        ("2024-01-01", 1, "2024-01-01T00:00:00"),
        ("2024-01-01", 0.5, "2024-01-01T00:00:00.000000"),
    ],
)
def test_default_format_distinguishes_windows(start, seconds, first):
    moment = datetime.fromisoformat(start)
    definition = P.time_window(start, interval_seconds=seconds, end=moment + 3 * timedelta(seconds=seconds))

    assert text(definition)[0] == first
    assert len(text(definition)) == 3


@pytest.mark.parametrize("fmt", ["%Y%m%d", "%d.%m.%Y", "%Y-%j", "day %d %B %Y", "%Y/%m/%d", "%A %Y-%m-%d"])
def test_custom_format_round_trips(fmt):
    definition = P.daily("2023-12-30", end="2025-01-03", fmt=fmt)
    keys = text(definition)

    assert len(set(keys)) == 370
    assert_gapless(definition)
    assert all(definition.validate_partition_key(key) for key in keys)
    assert not definition.validate_partition_key("2024-02-29T00")


def test_format_that_strptime_cannot_parse_is_looked_up():
    weeks = P.time_window("2024-01-01", interval_seconds=7 * 86_400, end="2024-03-01", fmt="%G week %V")

    assert text(weeks)[:2] == ["2024 week 01", "2024 week 02"]
    assert weeks.window_of("2024 week 02") == (datetime(2024, 1, 8), datetime(2024, 1, 15))
    assert not weeks.validate_partition_key("2024 week 20")


@pytest.mark.parametrize(
    "build",
    [
        lambda: P.hourly("2024-01-01", end="2024-01-03", fmt="%Y-%m-%d"),
        lambda: P.hourly("2024-01-01", fmt="%Y-%m-%d"),
        lambda: P.daily("2024-01-01", end="2025-06-01", fmt="%m-%d"),
        lambda: P.daily("2024-01-01", fmt="%Y-%m"),
        lambda: P.daily("2024-01-01", end="2024-01-03", fmt="day"),
        lambda: P.time_window("2024-01-01", interval_seconds=30, end="2024-01-02", fmt="%Y-%m-%dT%H:%M"),
        lambda: P.time_window("2024-01-01", cron_schedule="0 0,12 * * *", end="2024-01-03", fmt="%Y-%m-%d"),
        lambda: P.time_window("2024-01-01", cron_schedule="0 0,12 * * *", fmt="%Y-%m-%d"),
    ],
)
def test_ambiguous_format_is_rejected(build):
    with pytest.raises(
        PartitionDefinitionError, match=r"cannot tell windows apart: the windows from 2024-01-01 0"
    ):
        build()


def test_format_without_year_needs_end():
    assert text(P.daily("2024-01-01", end="2024-01-03", fmt="%m-%d")) == ["01-01", "01-02"]
    with pytest.raises(PartitionDefinitionError, match="has no year"):
        P.daily("2024-01-01", fmt="%m-%d")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "2024-01-01"}, "none was given"),
        ({"start": "2024-01-01", "cron_schedule": "0 0 * * *", "interval_seconds": 60}, "both were given"),
        ({"start": "2024-01-01", "interval_seconds": 0}, "above 0"),
        ({"start": "2024-01-01", "interval_seconds": -60}, "above 0"),
        ({"start": "2024-01-01", "interval_seconds": "60"}, "number of seconds"),
        ({"start": "2024-01-01", "interval_seconds": True}, "number of seconds"),
        ({"start": "2024-01-01", "interval_seconds": float("nan")}, "number of seconds"),
        ({"start": "2024-01-01", "cron_schedule": "daily"}, "five fields"),
        ({"start": "2024-01-01", "cron_schedule": "61 * * * *"}, "Bad minute"),
        ({"start": "2024-01-01", "cron_schedule": 5}, "must be text"),
        ({"start": "soon", "interval_seconds": 60}, "ISO text.*'soon'"),
        ({"start": 2024, "interval_seconds": 60}, "a datetime, a date or ISO text"),
        ({"start": datetime(2024, 1, 1, tzinfo=UTC), "interval_seconds": 60}, "has a time zone"),
        ({"start": "2024-01-01T00:00Z", "interval_seconds": 60}, "has a time zone"),
        ({"start": "2024-01-02", "interval_seconds": 60, "end": "2024-01-02"}, "have no keys"),
        ({"start": "2024-01-02", "interval_seconds": 60, "end": "2024-01-01"}, "have no keys"),
        ({"start": "2024-01-02", "cron_schedule": "0 0 1 * *", "end": "2024-01-31"}, "have no keys"),
        ({"start": "2024-01-01", "interval_seconds": 86_400, "end": "2024-01-03", "fmt": ""}, "empty"),
        ({"start": "2024-01-01", "interval_seconds": 86_400, "fmt": "%Y,%m,%d"}, "reserved"),
    ],
)
def test_time_window_rejects_invalid_arguments(arguments, message):
    with pytest.raises(PartitionDefinitionError, match=message):
        P.time_window(**arguments)


def test_open_ended_definition_lists_complete_windows():
    today = datetime.now().date()
    definition = P.daily(today - timedelta(days=3))
    keys = text(definition)

    assert keys in (
        [str(today - timedelta(days=n)) for n in (3, 2, 1)],
        [str(today - timedelta(days=n)) for n in (3, 2, 1, 0)],  # midnight passed meanwhile
    )
    assert all(definition.validate_partition_key(key) for key in keys)
    assert not definition.validate_partition_key(str(today + timedelta(days=1)))


def test_open_ended_definition_grows_with_the_clock(monkeypatch):
    from rivers.partitions import definitions

    class Clock(datetime):
        time = datetime(2024, 3, 1, 23, 59)

        @classmethod
        def now(cls, tz=None):
            return cls.time

    monkeypatch.setattr(definitions, "datetime", Clock)
    definition = P.daily("2024-02-28")
    assert text(definition) == ["2024-02-28", "2024-02-29"]
    assert not definition.validate_partition_key("2024-03-01")

    Clock.time = datetime(2024, 3, 2)
    assert text(definition) == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert definition.validate_partition_key("2024-03-01")


def test_start_in_the_future_has_no_keys():
    definition = P.daily(datetime.now() + timedelta(days=2))

    assert definition.get_partition_keys() == []
    with pytest.raises(PartitionValidationError, match="is complete yet"):
        definition.check_partition_key("2024-01-01")


@pytest.mark.parametrize("key", ["2024-1-2", " 2024-01-02", "2024-01-02 ", "2024-02-30", "02.01.2024", ""])
def test_key_must_match_format_exactly(key):
    assert not P.daily("2024-01-01", end="2024-03-01").validate_partition_key(key)


def test_window_of_several_keys_spans_all():
    days = P.daily("2024-01-01", end="2024-02-01")

    assert days.window_of(PartitionKey(["2024-01-05", "2024-01-02"])) == (
        datetime(2024, 1, 2),
        datetime(2024, 1, 6),
    )
    with pytest.raises(PartitionValidationError):
        days.window_of("2024-02-01")


def test_ten_years_of_days_are_listed_and_validated():
    definition = P.daily("2015-01-01", end="2025-01-08")
    keys = definition.get_partition_keys()

    assert len(keys) == 3_660
    assert definition.ordered(keys[::-1]) == keys


@pytest.mark.parametrize(
    "until", [timedelta(0), timedelta(microseconds=1), timedelta(minutes=90), timedelta(days=2)]
)
@pytest.mark.parametrize(
    "grid",
    [
        IntervalGrid(datetime(2024, 1, 1, 0, 0, 0, 7), timedelta(minutes=7)),
        CronGrid(datetime(2024, 1, 1), "*/7 * * * *"),
        CronGrid(datetime(2024, 1, 1), "20 */30 * * * *"),
    ],
)
def test_grid_last_matches_its_starts(grid, until):
    starts = list(grid.starts(grid.start + until))

    assert grid.last(grid.start + until) == (starts[-1] if starts else None)
    assert not starts or grid.last(starts[-1]) == (starts[-2] if len(starts) > 1 else None)


schedules = st.sampled_from(
    [
        "* * * * * *",
        "*/30 * * * * *",
        "*/7 * * * *",
        "0 */6 * * *",
        "30 5 * * *",
        "0 0,12 * * 1-5",
        "0 0 * * MON#1",
        "0 0 1 * *",
        "0 0 L * *",
        "0 0 1 */3 *",
        "0 0 13 * 5",
    ]
)
moments = st.integers(0, 400 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))
intervals = st.sampled_from([1, 7, 30, 60, 3_600, 21_600, 43_200, 86_400, 129_600, 604_800])


@settings(max_examples=60, deadline=None)
@given(schedules, moments, st.integers(-30, 30))
def test_cron_grid_matches_cronsim(schedule, moment, count):
    from cronsim import CronSim

    grid = CronGrid(START, schedule)
    start = next(CronSim(schedule, moment + timedelta(seconds=1), reverse=True))
    assert grid.floor(moment) == start
    ticks = CronSim(schedule, start, reverse=count < 0)
    assert grid.shift(start, count) == next(islice(ticks, abs(count) - 1, None), start) if count else start


@settings(max_examples=60, deadline=None)
@given(intervals, moments, moments, st.integers(-30, 30))
def test_interval_grid_floor_and_shift(every, start, moment, count):
    step = timedelta(seconds=every)
    grid = IntervalGrid(start, step)
    floor = grid.floor(moment)
    assert floor <= moment < floor + step
    assert (floor - start) % step == timedelta()
    assert grid.shift(floor, count) == floor + count * step


def test_cron_schedule_that_never_matches_has_no_keys():
    with pytest.raises(PartitionDefinitionError, match="no window starts at or after 2024-01-01"):
        P.time_window("2024-01-01", cron_schedule="0 0 */31 * MON#5")


def test_grid_ends_with_the_calendar():
    day = datetime(9999, 12, 31)
    for grid in (IntervalGrid(day, timedelta(hours=9)), CronGrid(day, "0 */9 * * *")):
        assert len(list(grid.starts(datetime.max))) == 3
        assert grid.first(day + timedelta(hours=23)) is None


def test_unknown_key_is_reported_without_listing_windows():
    seconds = P.time_window("2024-01-01", interval_seconds=1, end="2034-01-01")

    with pytest.raises(PartitionValidationError, match="'2024-01-01T00:00:00' to '2033-12-31T23:59:59'"):
        seconds.check_partition_key("2034-01-01T00:00:00")


def test_cron_start_with_fraction_of_second_is_rejected():
    start = datetime(2024, 1, 1, 10, 0, 0, 500_000)
    with pytest.raises(PartitionDefinitionError, match="2024-01-01T10:00:00.5.* Use 2024-01-01T10:00:00"):
        P.time_window(start=start, cron_schedule="0 * * * *")

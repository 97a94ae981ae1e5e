"""The eight answers once more, in plain Python from the posts themselves: no SQL, nothing from the package.

Written from the definitions alone, so that a mistake in the pipeline is not repeated here.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from statistics import median
from typing import Any

Row = dict[str, Any]
Clean = dict[int, Row]


class Unreadable(Exception):
    """A row that belongs in quarantine."""


def answers(posts: Iterable[Mapping[str, Any]]) -> dict[str, list[Row]]:
    """Name of analysis -> its rows, from posts ({"pin": …, "geo": …, "user": …}) in the order sent."""
    sent = list(posts)
    pins = _clean((post["pin"] for post in sent), _pin)
    geos = _clean((post["geo"] for post in sent), _geo)
    users = _clean((post["user"] for post in sent), _user)
    placed = [pins[ind] | geos[ind] for ind in pins.keys() & geos.keys()]
    owned = [pins[ind] | users[ind] for ind in pins.keys() & users.keys()]
    return {
        "category_by_country": _most_popular(placed, "country"),
        "category_by_year": _most_popular(placed, "post_year"),
        "top_user_by_country": _top_users(placed),
        "category_by_age_group": _most_popular(owned, "age_group"),
        "followers_by_age_group": _medians(owned, ["age_group"]),
        "users_joined_by_year": _joined(users.values()),
        "followers_by_join_year": _medians(owned, ["join_year"]),
        "followers_by_join_year_and_age_group": _medians(owned, ["join_year", "age_group"]),
    }


def _clean(rows: Iterable[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], Row]) -> Clean:
    """The newest readable row of each post."""
    newest: Clean = {}
    for row in rows:
        try:
            ind = _whole(row["ind"] if row.get("ind") is not None else row.get("index"), 18)
            if ind is not None:
                newest[ind] = read(row)
        except Unreadable:
            continue
    return newest


def _pin(row: Mapping[str, Any]) -> Row:
    poster = None if row["poster_name"] == "User Info Error" else row["poster_name"]
    return {"category": row["category"], "poster": poster, "followers": _followers(row["follower_count"])}


def _geo(row: Mapping[str, Any]) -> Row:
    for name, bound in (("latitude", 90), ("longitude", 180)):
        _degrees(row[name], bound)
    when = _moment(row["timestamp"])
    return {"country": row["country"], "post_year": when and when.year}


def _user(row: Mapping[str, Any]) -> Row:
    age, joined = _whole(row["age"], 3), _moment(row["date_joined"])
    names = [name for name in (row["first_name"], row["last_name"]) if name is not None]
    person = (" ".join(names) or None, age, joined)
    return {"person": person, "age_group": _age_group(age), "join_year": joined and joined.year}


def _whole(value: Any, digits: int) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", str(value)):
        raise Unreadable
    return int(value)


def _degrees(value: Any, bound: int) -> None:
    if value is None:
        return
    try:
        fits = abs(float(value)) <= bound
    except ValueError:
        raise Unreadable from None
    if not fits:
        raise Unreadable


def _followers(value: Any) -> int | None:
    if value is None or value == "User Info Error":
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]{1,2}", str(value)):
        return _exact(Decimal(str(value)))
    found = re.fullmatch(r"([0-9]+)(\.[0-9]+)?([kKmMbB]?)", str(value))
    if not found:
        raise Unreadable
    whole, fraction, suffix = found.groups()
    if not suffix and Decimal(f"0{fraction or ''}") != 0:
        raise Unreadable
    times = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}[suffix.lower()]
    return int((Decimal(whole + (fraction or "")) * times).to_integral_value(ROUND_HALF_UP))


def _exact(number: Decimal) -> int:
    if number != number.to_integral_value() or number >= 10**18:
        raise Unreadable
    return int(number)


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y, %H:%M:%S"):
        try:
            return datetime.strptime(value, form)  # noqa: DTZ007
        except ValueError:
            continue
    raise Unreadable


def _age_group(age: int | None) -> str | None:
    if age is None or age < 18:
        return None
    return "18-24" if age <= 24 else "25-35" if age <= 35 else "36-50" if age <= 50 else "50+"


def _most_popular(posts: Iterable[Row], key: str) -> list[Row]:
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for post in posts:
        if post[key] is not None and post["category"] is not None:
            counts[post[key]][post["category"]] += 1
    return [
        {key: value, "category": category, "category_count": count}
        for value, categories in sorted(counts.items())
        for category, count in sorted(categories.items())
        if count == max(categories.values())
    ]


def _top_users(posts: Iterable[Row]) -> list[Row]:
    most: dict[str, dict[str, int]] = defaultdict(dict)
    for post in posts:
        country, poster, followers = post["country"], post["poster"], post["followers"]
        if country is not None and poster is not None and followers is not None:
            most[country][poster] = max(followers, most[country].get(poster, 0))
    return [
        {"country": country, "poster_name": poster, "follower_count": followers}
        for country, posters in sorted(most.items())
        for poster, followers in sorted(posters.items())
        if followers == max(posters.values())
    ]


def _medians(posts: Iterable[Row], keys: list[str]) -> list[Row]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for post in posts:
        group = tuple(post[key] for key in keys)
        if post["followers"] is not None and None not in group:
            groups[group].append(post)
    return [
        {
            **dict(zip(keys, group, strict=True)),
            "median_follower_count": float(median(post["followers"] for post in members)),
            "median_follower_count_users": float(median(_largest_of_each_person(members))),
        }
        for group, members in sorted(groups.items())
    ]


def _largest_of_each_person(posts: Iterable[Row]) -> Iterator[int]:
    counts: dict[Any, list[int]] = defaultdict(list)
    for post in posts:
        counts[post["person"]].append(post["followers"])
    return (max(values) for values in counts.values())


def _joined(users: Iterable[Row]) -> list[Row]:
    people: dict[int, list[Any]] = defaultdict(list)
    for user in users:
        if user["join_year"] is not None:
            people[user["join_year"]].append(user["person"])
    return [
        {"join_year": year, "users_joined": len(set(persons)), "posts": len(persons)}
        for year, persons in sorted(people.items())
    ]

"""Groups of consumers as they stand in the file: who is a member, and who holds which partitions.

A partition is held by one member at a time: the table's key sees to it. A member gives a partition back only
in a `settle` of its own, or by leaving, or by being silent for longer than its session; only then may
another member take it, in a `settle` of its own.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from pinterest_pipeline.errors import Fenced, UnknownGroup, UnknownTopic
from pinterest_pipeline.eventlog.base import Group, GroupMember, Part

# A heartbeat of the future is one of a clock that was wrong.
_SILENT_MEMBERS: Final = "SELECT id FROM members WHERE abs(? - heartbeat_ms) > session_ms"
_IS_ALIVE: Final = "SELECT 1 FROM members WHERE id = ? AND abs(? - heartbeat_ms) <= session_ms"
_MEMBERS: Final = """
    SELECT id, client_id, stale FROM members
    WHERE consumer_group = ? AND abs(? - heartbeat_ms) <= session_ms ORDER BY id
"""
_GROUPS: Final = """
    SELECT DISTINCT c.consumer_group FROM positions c JOIN partitions p ON p.id = c.partition_id
    JOIN topics t ON t.id = p.topic_id WHERE t.name IS NOT NULL
    UNION SELECT consumer_group FROM members WHERE abs(? - heartbeat_ms) <= session_ms ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Member:
    """What a member says of itself; `session_ms` is how long it may be silent."""

    group: str
    topics: tuple[str, ...]
    client_id: str
    session_ms: int


class Holding(NamedTuple):
    """A partition that a member holds, and the position its group committed there."""

    partition_id: int
    committed: int


class Settled(NamedTuple):
    """The member's id, new when it had been put out, and what it holds now."""

    member_id: int
    holdings: dict[Part, Holding]


def join(connection: sqlite3.Connection, member: Member, now: int) -> int:
    """Become a member that holds nothing yet; returns its id. Raises UnknownTopic."""
    for topic in member.topics:
        if connection.execute("SELECT 1 FROM topics WHERE name = ?", (topic,)).fetchone() is None:
            raise UnknownTopic(topic)
    return _enter(connection, member, now)


def _enter(connection: sqlite3.Connection, member: Member, now: int) -> int:
    _tell(connection, member.group)
    cursor = connection.execute(
        "INSERT INTO members (consumer_group, client_id, topics, session_ms, heartbeat_ms)"
        " VALUES (?, ?, ?, ?, ?)",
        (member.group, member.client_id, msgspec.json.encode(member.topics), member.session_ms, now),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def leave(connection: sqlite3.Connection, member_id: int) -> None:
    """End a membership; whoever is left in the group is told."""
    groups_of = connection.execute("SELECT consumer_group FROM members WHERE id = ?", (member_id,)).fetchall()
    connection.execute("DELETE FROM members WHERE id = ?", (member_id,))
    connection.execute("DELETE FROM holdings WHERE member_id = ?", (member_id,))
    for (group,) in groups_of:
        _tell(connection, group)


def settle(connection: sqlite3.Connection, member: Member, member_id: int, now: int) -> Settled:
    """Show that the member lives, give back what others shall have, take what is free and the member's."""
    _put_out_silent(connection, now)
    beat = connection.execute(
        "UPDATE members SET heartbeat_ms = ?, stale = 0 WHERE id = ?", (now, member_id)
    ).rowcount
    if not beat:
        member_id = _enter(connection, member, now)
        connection.execute("UPDATE members SET stale = 0 WHERE id = ?", (member_id,))
    shares = _shares(connection, member.group)
    due = {partition_id: part for part, (partition_id, owner) in shares.items() if owner == member_id}
    held = _held(connection, member_id)
    if held - due.keys():
        _give_back(connection, member.group, member_id, held - due.keys())
    held = held & due.keys() | _take(connection, member.group, member_id, due.keys() - held)
    kept = committed(connection, member.group)
    holdings = {part: Holding(key, kept.get(key, 0)) for key, part in due.items() if key in held}
    return Settled(member_id, holdings)


def _put_out_silent(connection: sqlite3.Connection, now: int) -> None:
    for (member_id,) in connection.execute(_SILENT_MEMBERS, (now,)).fetchall():
        leave(connection, member_id)


def _tell(connection: sqlite3.Connection, group: str) -> None:
    """Have every member of a group settle at its next poll."""
    connection.execute("UPDATE members SET stale = 1 WHERE consumer_group = ?", (group,))


def tell_all(connection: sqlite3.Connection) -> None:
    """Have every member of every group settle at its next poll: the topics have changed."""
    connection.execute("UPDATE members SET stale = 1")


def _shares(connection: sqlite3.Connection, group: str) -> dict[Part, tuple[int, int]]:
    """Id and due owner of each partition of the topics that the group's members read."""
    rows = connection.execute("SELECT id, topics FROM members WHERE consumer_group = ? ORDER BY id", (group,))
    members = {member_id: msgspec.json.decode(topics, type=frozenset[str]) for member_id, topics in rows}
    ids: dict[Part, int] = {}
    for topic in sorted(frozenset().union(*members.values())):
        found = connection.execute(
            "SELECT p.partition, p.id FROM topics t JOIN partitions p ON p.topic_id = t.id"
            " WHERE t.name = ? ORDER BY p.partition",
            (topic,),
        )
        ids.update({(topic, number): partition_id for number, partition_id in found})
    return {part: (ids[part], owner) for part, owner in shared(members, ids).items()}


def shared(members: Mapping[int, frozenset[str]], parts: Iterable[Part]) -> dict[Part, int]:
    """The member due to hold each partition: of those that read its topic, the first with the fewest so far.

    `members` gives the topics of each, in the order of joining. For members that read the same, it is Kafka's
    round robin.
    """
    counts = dict.fromkeys(members, 0)
    owners: dict[Part, int] = {}
    for part in parts:
        readers = [member for member, topics in members.items() if part[0] in topics]
        owner = min(readers, key=counts.__getitem__)
        counts[owner] += 1
        owners[part] = owner
    return owners


def _held(connection: sqlite3.Connection, member_id: int) -> set[int]:
    """The ids of the partitions a member holds, of topics that are still there."""
    rows = connection.execute(
        "SELECT h.partition_id FROM holdings h JOIN partitions p ON p.id = h.partition_id"
        " JOIN topics t ON t.id = p.topic_id WHERE h.member_id = ? AND t.name IS NOT NULL",
        (member_id,),
    )
    return {partition_id for (partition_id,) in rows}


def _give_back(connection: sqlite3.Connection, group: str, member_id: int, partition_ids: set[int]) -> None:
    connection.executemany(
        "DELETE FROM holdings WHERE consumer_group = ? AND partition_id = ?",
        [(group, partition_id) for partition_id in partition_ids],
    )
    connection.execute(
        "UPDATE members SET stale = 1 WHERE consumer_group = ? AND id <> ?", (group, member_id)
    )


def _take(
    connection: sqlite3.Connection, group: str, member_id: int, partition_ids: Iterable[int]
) -> set[int]:
    """Hold those partitions that nobody holds; returns them. Who gives back the others will tell."""
    return {
        partition_id
        for partition_id in partition_ids
        if connection.execute(
            "INSERT OR IGNORE INTO holdings VALUES (?, ?, ?)", (group, partition_id, member_id)
        ).rowcount
    }


def committed(connection: sqlite3.Connection, group: str) -> dict[int, int]:
    """The committed positions of a group by partition id."""
    return dict(
        connection.execute(
            "SELECT partition_id, next_offset FROM positions WHERE consumer_group = ?", (group,)
        ).fetchall()
    )


def commit_held(
    connection: sqlite3.Connection,
    group: str,
    member_id: int,
    positions: Mapping[Part, tuple[int, int]],
    now: int,
) -> None:
    """Keep positions (partition id, offset) of held partitions; raises Fenced when one is not held."""
    alive = connection.execute(_IS_ALIVE, (member_id, now)).fetchone()
    held = _held(connection, member_id) if alive else set()
    for part, (partition_id, _) in positions.items():
        if partition_id not in held:
            raise not_held(part, group)
    connection.execute("UPDATE members SET heartbeat_ms = ? WHERE id = ?", (now, member_id))
    keep(connection, group, list(positions.values()))


def keep(connection: sqlite3.Connection, group: str, positions: Sequence[tuple[int, int]]) -> None:
    """Keep a group's positions, given as partition id and offset."""
    connection.executemany(
        "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", [(group, *position) for position in positions]
    )


def not_held(part: Part, group: str) -> Fenced:
    topic, number = part
    return Fenced(
        f"partition {number} of '{topic}' is not held by this member of group '{group}'",
        "poll, and go on with what is held then",
    )


def positions(connection: sqlite3.Connection, group: str) -> dict[str, dict[int, int]]:
    """All committed positions of a group, by topic and partition."""
    rows = connection.execute(
        "SELECT t.name, p.partition, c.next_offset FROM positions c"
        " JOIN partitions p ON p.id = c.partition_id JOIN topics t ON t.id = p.topic_id"
        " WHERE c.consumer_group = ? AND t.name IS NOT NULL ORDER BY t.name, p.partition",
        (group,),
    )
    found: dict[str, dict[int, int]] = {}
    for topic, number, position in rows:
        found.setdefault(topic, {})[number] = position
    return found


def groups(connection: sqlite3.Connection, now: int) -> list[str]:
    """The names of all groups with members or positions, sorted."""
    return [group for (group,) in connection.execute(_GROUPS, (now,))]


def describe(connection: sqlite3.Connection, group: str, now: int) -> Group:
    """A group and its living members; raises UnknownGroup."""
    rows = connection.execute(_MEMBERS, (group, now)).fetchall()
    if not rows:
        if not positions(connection, group):
            raise UnknownGroup(group)
        return Group(group, "EMPTY")
    members = tuple(
        GroupMember(f"{client_id}-{member_id}", client_id, _parts(connection, member_id))
        for member_id, client_id, _ in rows
    )
    state = "PREPARING_REBALANCE" if any(stale for *_, stale in rows) else "STABLE"
    return Group(group, state, members, assignor="roundrobin")


def _parts(connection: sqlite3.Connection, member_id: int) -> tuple[Part, ...]:
    return tuple(
        connection.execute(
            "SELECT t.name, p.partition FROM holdings h JOIN partitions p ON p.id = h.partition_id"
            " JOIN topics t ON t.id = p.topic_id WHERE h.member_id = ? AND t.name IS NOT NULL"
            " ORDER BY t.name, p.partition",
            (member_id,),
        ).fetchall()
    )

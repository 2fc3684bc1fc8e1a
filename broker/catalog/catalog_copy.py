"""What only the catalog knows, once more: ``catalog-checkpoint``.

Topics come back from their directories. What no directory tells stands here, written whenever
one of these things changes: settings of groups, those of the broker that were set while it ran
(``own``, and ``for_all`` brokers), the producer ids that are still free, and how many such changes
there were, deletions of topics among them, which tells whether a catalog is older than the
directory that it lies in::

    version: 0
    changes: 17
    next_producer_id: 3000
    groups: {"g":{"consumer.session.timeout.ms":"50000"}}
    broker: {"own":{"log.retention.ms":"60000"}}
    checksum: 5f2c09ab
"""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

from tidelog.storage.local.sealed_text import decode_sealed, encode_sealed

_VERSION = "0"
GroupSettings = dict[str, dict[str, str]]
BrokerChanges = dict[str, dict[str, str]]

Standing = Literal["sound", "unnumbered", "behind", "lost"]
"""Of a catalog: ``unnumbered`` ones do not count changes, ``behind`` ones are older copies."""


class CatalogCopy(NamedTuple):
    """``changes`` None: they were not counted yet; ``next_producer_id`` None: not known."""

    changes: int | None
    next_producer_id: int | None
    groups: GroupSettings
    broker: BrokerChanges


def encode_copy(copy: CatalogCopy) -> bytes:
    """The content of the file."""
    return encode_sealed(
        {
            "version": _VERSION,
            "changes": str(copy.changes or 0),
            "next_producer_id": str(copy.next_producer_id or 0),
            "groups": json.dumps(copy.groups, separators=(",", ":"), sort_keys=True),
            "broker": encode_broker(copy.broker),
        }
    )


def encode_broker(changes: BrokerChanges) -> str:
    """One line of JSON."""
    return json.dumps(changes, separators=(",", ":"), sort_keys=True)


def decode_broker(text: str) -> BrokerChanges:
    """Raises ValueError for what is no JSON, TypeError or AttributeError for another shape."""
    return {
        scope: {str(name): str(value) for name, value in settings.items()}
        for scope, settings in json.loads(text).items()
    }


def decode_copy(data: bytes) -> CatalogCopy:
    """Raises ValueError for anything but a whole copy of version 0."""
    fields = decode_sealed(data)
    try:
        if fields["version"] != _VERSION:
            raise ValueError(f"catalog-checkpoint of version {fields['version']}")
        groups = json.loads(fields["groups"])
        # Older versions had no such settings.
        broker = decode_broker(fields.get("broker", "{}"))
        return CatalogCopy(int(fields["changes"]), int(fields["next_producer_id"]), groups, broker)
    except KeyError as error:
        raise ValueError(f"catalog-checkpoint does not tell {error}") from error


def standing(own: CatalogCopy | None, copy: CatalogCopy | None) -> Standing:
    """How far the catalog, whose ``own`` word is None where it was lost, can be believed."""
    if own is None:
        return "lost"
    if own.changes is None:
        return "unnumbered" if copy is None else "behind"
    if copy is not None and copy.changes is not None and own.changes < copy.changes:
        return "behind"
    return "sound"


def settle(own: CatalogCopy | None, copy: CatalogCopy | None) -> CatalogCopy:
    """What counts: the newer of the two, the copy where they are of one age; it proves itself.

    Producer ids count from the larger number, whoever says it.
    """
    if own is None or copy is None:
        return own or copy or CatalogCopy(None, None, {}, {})
    newer = own if (own.changes or 0) > (copy.changes or 0) else copy
    known = [one for one in (own.next_producer_id, copy.next_producer_id) if one is not None]
    return newer._replace(next_producer_id=max(known, default=None))

"""The second level of the cache: pages rendered from batches, found by what was asked.

A page goes when anything it was made from changes: the offsets that its spans name, or, for a
page without spans, anything of the partitions that its tags name.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable
from typing import NamedTuple

from tidelog.storage.cache.cached_run import LogId
from tidelog.storage.cache.s3_fifo import Entry

_PAGE_BYTES = 1024
_SPAN_BYTES = 256
_TAG_BYTES = 256
"""What a page, each of its spans and each of its tags are charged beside the value."""


class Span(NamedTuple):
    """The part of a log that a page was made from."""

    log_id: LogId
    base_offset: int
    next_offset: int


def topic_tag(topic: str) -> str:
    """The tag of everything of a topic."""
    return f"topic:{topic}"


def partition_tag(log_id: LogId) -> str:
    """The tag of everything of a partition."""
    return f"partition:{log_id[0]}-{log_id[2]}"


class Page(Entry):
    """``value`` as it was rendered."""

    __slots__ = ("born_ns", "key", "spans", "tags", "value")

    def __init__(
        self,
        key: Hashable,
        value: bytes,
        tags: frozenset[str],
        spans: tuple[Span, ...],
        born_ns: int,
    ) -> None:
        parts = key if isinstance(key, tuple) else (key,)
        super().__init__(
            _PAGE_BYTES
            + sys.getsizeof(value)
            + sum(map(sys.getsizeof, parts))
            + _TAG_BYTES * len(tags)
            + _SPAN_BYTES * len(spans)
        )
        self.key = key
        self.value = value
        self.tags = tags
        self.spans = spans
        self.born_ns = born_ns

    @property
    def topics(self) -> list[str]:
        """The topics it is tagged with."""
        prefix = topic_tag("")
        return [tag.removeprefix(prefix) for tag in self.tags if tag.startswith(prefix)]

    def is_made_from(self, log_id: LogId, from_offset: int, below_offset: int) -> bool:
        """Whether a change of these offsets touches it."""
        return not self.spans or any(
            span.log_id == log_id
            and span.base_offset < below_offset
            and span.next_offset > from_offset
            for span in self.spans
        )


class CachedPages:
    """Pages by key and by tag."""

    def __init__(self) -> None:
        self._pages: dict[Hashable, Page] = {}
        self._by_tag: dict[str, set[Page]] = {}

    def all(self) -> list[Page]:
        """Every page."""
        return list(self._pages.values())

    def get(self, key: Hashable) -> Page | None:
        """The page under ``key``."""
        return self._pages.get(key)

    def insert(self, page: Page) -> None:
        """Add a page; there must be none under its key."""
        self._pages[page.key] = page
        for tag in page.tags:
            self._by_tag.setdefault(tag, set()).add(page)

    def remove(self, page: Page) -> None:
        """Take a page out."""
        del self._pages[page.key]
        for tag in page.tags:
            tagged = self._by_tag[tag]
            tagged.discard(page)
            if not tagged:
                del self._by_tag[tag]

    def tagged(self, tag: str) -> list[Page]:
        """The pages with a tag."""
        return list(self._by_tag.get(tag, ()))

    def made_from(self, log_id: LogId, from_offset: int, below_offset: int) -> list[Page]:
        """The pages that a change of these offsets touches.

        A page without spans may name its topic only, and is then taken to be touched.
        """
        whole_topic = [
            page
            for page in self.tagged(topic_tag(log_id[0]))
            if not page.spans and not any(tag.startswith("partition:") for tag in page.tags)
        ]
        partition = self.tagged(partition_tag(log_id))
        return whole_topic + [
            page for page in partition if page.is_made_from(log_id, from_offset, below_offset)
        ]

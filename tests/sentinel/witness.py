"""Looks at the tables while others write them: what they say is what etcd had at their checkpoint, at any moment."""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Engine, func, select

from fieldpipe.sentinel.etcd import Compacted, Etcd, EtcdUnavailable
from fieldpipe.sentinel.keys import Entry
from fieldpipe.sentinel.rows import rows_of
from fieldpipe.sentinel.tables import checkpoint, entries, history
from fieldpipe.settings import EtcdSettings
from tests.sentinel.models import expected, rows_in
from tests.waiting import eventually

Answer = TypeVar("Answer")


class Witness:
    """Of a mirror that removes the rows of what is gone."""

    def __init__(self, engine: Engine, etcd: EtcdSettings) -> None:
        self._engine = engine
        self._etcd = etcd

    def look(self) -> int:
        """The revision of the checkpoint, 0 before the first listing; the tables must not say more, nor less."""
        with self._engine.begin() as connection:
            revision = connection.execute(select(checkpoint.c.revision)).scalar() or 0
            stored = connection.execute(select(entries.c.key, entries.c.value, entries.c.mod_revision)).all()
            rows = rows_in(connection)
        listed = self._listed(revision) if revision else []
        if listed is not None:
            wanted = rows_of(listed)
            bad_keys = {corrupt.entry.key for corrupt in wanted.bad_keys}
            assert sorted(stored) == [tuple(each) for each in listed if each.key not in bad_keys]
            assert {name: row for name, row in rows.items() if name not in wanted.corrupt} == expected(listed)
        return revision

    def await_all(self, log: Callable[[], str], seconds: float = 60.0) -> None:
        """Until the mirror is where etcd is now."""
        now = self._ask(lambda etcd: etcd.now().revision)
        eventually(lambda: self.look() >= now, seconds, log)

    def was_written_twice(self) -> bool:
        """Whether the history holds the same change of a key more than once."""
        with self._engine.begin() as connection:
            each = select(func.count()).select_from(history).group_by(history.c.revision, history.c.key)
            return any(count > 1 for count in connection.scalars(each))

    def _listed(self, revision: int) -> list[Entry] | None:
        """None: etcd has forgotten it."""
        try:
            return self._ask(lambda etcd: [entry for page in etcd.snapshot(revision).pages for entry in page])
        except Compacted:
            return None

    def _ask(self, question: Callable[[Etcd], Answer]) -> Answer:
        """Again and again, while a cluster has no leader."""

        def asked() -> list[Answer]:
            with Etcd(self._etcd) as etcd, suppress(EtcdUnavailable):
                return [question(etcd)]
            return []

        return eventually(asked, 30)[0]

"""Files of older releases: what form a file is in, and how it comes into the form of today.

Whoever reads a file that carries a ``schema_version`` reads it with :func:`read_versioned` or
:func:`read_json`, or hands its content to :func:`migrate`; what comes back is in the form of today,
whatever release wrote it. ``docs/files.md`` says what is promised.
"""

from dse.migrations.content import Migrated, migrate, migrated, remarked
from dse.migrations.paths import FileMigration, MigrationReport, migrate_path
from dse.migrations.reading import read_json, read_versioned
from dse.migrations.registry import FIELD, KINDS, Kind, Step, current, kind_of

__all__ = [
    "FIELD",
    "KINDS",
    "FileMigration",
    "Kind",
    "Migrated",
    "MigrationReport",
    "Step",
    "current",
    "kind_of",
    "migrate",
    "migrate_path",
    "migrated",
    "read_json",
    "read_versioned",
    "remarked",
]

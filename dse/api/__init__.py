"""Everything that a user does, as functions of ``dse``; the command line calls only these.

``loading`` (files in), ``catalogue`` (what ships), ``mapping``, ``evaluating`` (simulate, explain,
uncertainty), ``studies`` (sweep, explore, report, compare), ``measuring`` (validate, quality,
profile), ``migrating``; ``options`` says once what an option may be. ``dse/__init__.py`` lists the
public names with their module. Each module imports what it needs when a function runs, so that no
command pays for another.
"""

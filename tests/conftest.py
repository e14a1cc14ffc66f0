"""One way of running for the whole suite: the same cases everywhere, at any speed, on any disk.

Hypothesis draws the same cases each time, knows no deadline and keeps no database, so that a run
depends on neither a clock nor an earlier run, and a folder that cannot be written will do.
"""

from __future__ import annotations

import tempfile

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

_HOME = tempfile.TemporaryDirectory(prefix="hypothesis-")  # gone when the process ends
set_hypothesis_home_dir(_HOME.name)
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # it measures seconds
)
settings.load_profile("suite")

"""Published quality of a network at a width, a resolution and a precision.

``quality`` answers with what has been published, or with None where nothing is known.
"""

from __future__ import annotations

from dse.quality.published import Quality, families, quality

__all__ = ["Quality", "families", "quality"]

"""Published figures against ours."""

from dse.validation.record import Row, Section
from dse.validation.sections import run_sections

__all__ = ["Row", "Section", "run_sections"]

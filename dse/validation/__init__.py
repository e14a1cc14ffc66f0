"""Published figures against ours."""

from dse.validation.page import write_page
from dse.validation.published import constants
from dse.validation.record import Row, Section, Target
from dse.validation.sections import run_sections

__all__ = ["Row", "Section", "Target", "constants", "run_sections", "write_page"]

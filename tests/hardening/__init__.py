"""Damaged files, random command lines, turned numbers, killed searches: short, long by hand."""

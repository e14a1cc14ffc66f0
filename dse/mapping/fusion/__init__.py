"""Runs of layers whose intermediates stay on the chip."""

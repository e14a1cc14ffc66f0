"""Mappings that a user or another tool fixed, whole or in part."""

"""Edge-AI chip design-space exploration."""

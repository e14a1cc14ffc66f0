"""The best mapping of a packed problem, and one given mapping evaluated."""

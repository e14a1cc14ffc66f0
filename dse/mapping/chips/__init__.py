"""Many chips at once: the layers of a network on thousands of chips of few array shapes."""

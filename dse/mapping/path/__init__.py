"""Which candidate of each layer a network uses: the shortest path through all of them."""

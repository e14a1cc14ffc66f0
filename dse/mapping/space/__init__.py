"""What there is to choose from: unrollings, tiles, levels; a layer on a chip as numbers."""

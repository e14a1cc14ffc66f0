"""A whole network on a chip: plan, candidates, path, layer table and bounds."""

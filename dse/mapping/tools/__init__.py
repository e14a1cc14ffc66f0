"""What other rooms are built with: compiled kernels, and what their cache on disk depends on."""

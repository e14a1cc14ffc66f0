"""What the other rooms are built with: compiled kernels and what their cache depends on, values
remembered by key."""

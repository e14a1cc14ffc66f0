"""Which tensors stay on the chip, and at which addresses."""

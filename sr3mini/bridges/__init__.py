"""f from and for other people's programs."""

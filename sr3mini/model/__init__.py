"""What is trained: presets, their networks, their weights."""

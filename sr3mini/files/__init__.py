"""Picture files: read, written, put side by side."""

"""Algorithm 2 on pictures of any size, and on files."""

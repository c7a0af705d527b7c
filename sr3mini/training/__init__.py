"""Algorithm 1 at any scale: the loop, its states, what it costs."""

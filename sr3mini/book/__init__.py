"""What chapters show and ask: figures, things to play with, graders, toy networks."""

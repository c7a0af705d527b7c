"""Pictures beside their references, measured."""

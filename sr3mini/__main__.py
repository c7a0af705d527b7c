"""`python -m sr3mini`: the command line for launchers that start Python modules, such
as torchrun.
"""

from .cli import main

main()

"""The program that spark-submit starts for `jobs.replay` of the installed package, with the same arguments.

It is a file of its own for the reason of `submit.py`.
"""

from jobs import replay
from jobs.cli import interruption

if __name__ == "__main__":
    interruption.leave(replay.main())

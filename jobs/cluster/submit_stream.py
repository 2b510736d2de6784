"""The program that spark-submit starts for a stream: `jobs.stream` of the installed package, with the same arguments.

It is a file of its own for the reason of `submit.py`.
"""

from jobs import stream
from jobs.cli import interruption

if __name__ == "__main__":
    interruption.leave(stream.main())

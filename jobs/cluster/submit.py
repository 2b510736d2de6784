"""The program that spark-submit starts: `jobs.batch_score` of the installed package, with the same arguments.

It is a file of its own because Spark puts the folder of its program first on the path, where modules of jobs/ would
hide those of Python.
"""

from jobs import batch_score
from jobs.cli import interruption

if __name__ == "__main__":
    interruption.leave(batch_score.main())

"""The program that spark-submit starts for `jobs.retrain` of the installed package, with the same arguments.

It is a file of its own for the reason of `submit.py`.
"""

from jobs import retrain
from jobs.cli import interruption

if __name__ == "__main__":
    interruption.leave(retrain.main())

"""Worker `score`: the function's intake fed by a subscription that it pulls from, without HTTP.

python -m functions.score.pull --help
"""

import sys

from shared.wiring.pull import pull
from shared.wiring.score import score_function

if __name__ == "__main__":
    sys.exit(pull("score", score_function))

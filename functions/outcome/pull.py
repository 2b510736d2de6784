"""Worker `outcome`: the function's intake fed by a subscription that it pulls from, without HTTP.

python -m functions.outcome.pull --help
"""

import sys

from shared.wiring.outcome import outcome_function
from shared.wiring.pull import pull

if __name__ == "__main__":
    sys.exit(pull("outcome", outcome_function))

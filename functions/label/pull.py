"""Worker `label`: the function's intake fed by a subscription that it pulls from, without HTTP.

python -m functions.label.pull --help
"""

import sys

from shared.wiring.label import label_function
from shared.wiring.pull import pull

if __name__ == "__main__":
    sys.exit(pull("label", label_function))

#!/bin/sh
# Print the vulnerabilities that are tolerated today, one a line with the last day of it.
set -eu

awk -v today="$(date -u +%F)" '!/^#/ && $2 >= today { print $1, $2 }' infra/deploy/tolerated-vulnerabilities.txt

"""A typical tutorial function: one message, one prediction by scikit-learn, one row by insert_rows_json.

It does less than the score function: it receives the finished feature vector, keeps no history, validates nothing and
gives no reasons.
"""

import base64
import json
import os

import functions_framework
import joblib
from flask import Request
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

model = joblib.load(os.environ["MODEL"])
client = bigquery.Client(project="pix-bench", credentials=AnonymousCredentials())


@functions_framework.http
def score(request: Request) -> tuple[str, int]:
    """Score one Pix."""
    message = json.loads(base64.b64decode(request.get_json()["message"]["data"]))
    probability = model.predict_proba([message["features"]])[0, 1]
    row = {"end_to_end_id": message["end_to_end_id"], "score": probability, "decision": str(probability > 0.5)}
    errors = client.insert_rows_json("pix-bench.pix.scores", [row])
    return ("", 204) if not errors else (str(errors), 500)

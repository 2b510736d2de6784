# Lines of the logs that alerts match, and log-based metrics for one alert and two charts. Every other chart draws the
# metrics that the functions send.
#
# An alert on a log-based metric is refused for up to ten minutes after the metric was made ("Cannot find metric(s)"),
# so on a first apply: https://github.com/hashicorp/terraform-provider-google/issues/11102. So alerts match the lines
# themselves, or name the metric in PromQL, where the check of its existence can be switched off.

locals {
  # Messages (jsonPayload.message) by their alert. A function logs each of these once per incident, at its start.
  logged = {
    challenger_dropped   = ["challenger dropped"]
    control_refused      = ["control group refused"]
    failed               = ["failed"]
    history_empty        = ["history empty"]
    metrics_not_exported = ["metrics not exported"]
    model_failed         = ["model failed"]
    model_refused        = ["model refused", "pointer refused"]
    rows_refused         = ["rows refused"]
  }
  logs_of_functions = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^pix-\""
  logs_of_jobs      = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=~\"^pix-\""
  lines = {
    for name, messages in local.logged : name =>
    "${local.logs_of_functions} AND jsonPayload.message=(${join(" OR ", [for text in messages : "\"${text}\""])})"
  }
}

# Cloud Run writes a line for each request, of which Pub/Sub makes one for each Pix. Those of requests that succeeded say
# nothing that the metrics do not.
resource "google_logging_project_exclusion" "requests" {
  name        = "pix-requests"
  description = "Requests to the functions that succeeded"
  filter      = "${local.logs_of_functions} AND log_id(\"run.googleapis.com/requests\") AND httpRequest.status<400"
}

# A single export may fail and none be lost, so this alert counts.
resource "google_logging_metric" "metrics_not_exported" {
  name        = "pix/metrics_not_exported"
  description = "Incidents in which a function could not export its metrics"
  filter      = local.lines["metrics_not_exported"]

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }
}

# The last line of each job is its result in JSON, with an outcome such as PROMOTED, REFUSED, DRIFT, RETIRED or
# FAILED.
resource "google_logging_metric" "job_outcomes" {
  name             = "pix/job_outcomes"
  description      = "Results of jobs, by outcome"
  filter           = "${local.logs_of_jobs} AND jsonPayload.outcome:*"
  label_extractors = { outcome = "EXTRACT(jsonPayload.outcome)" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"

    labels {
      key         = "outcome"
      value_type  = "STRING"
      description = "Outcome of the job"
    }
  }
}

resource "google_logging_metric" "drift_of_score" {
  name            = "pix/drift_of_score"
  description     = "Population stability index of the score against the champion's first days"
  filter          = "${local.logs_of_jobs} AND jsonPayload.psi.score>=0"
  value_extractor = "EXTRACT(jsonPayload.psi.score)"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "1"
  }

  bucket_options {
    linear_buckets {
      num_finite_buckets = 50
      offset             = 0
      width              = 0.02
    }
  }
}

# Log-based metrics. They feed alerts and two charts; every other chart draws the metrics that the functions send.

locals {
  # Messages (jsonPayload.message) to count. A function logs each of these once per incident, at its start, so a count
  # is good for an alert but does not show how long the incident lasts.
  logged = {
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
}

resource "google_logging_metric" "lines" {
  for_each = local.logged

  name        = "pix/${each.key}"
  description = "Logged: ${join(", ", each.value)}"
  filter      = "${local.logs_of_functions} AND jsonPayload.message=(${join(" OR ", [for text in each.value : "\"${text}\""])})"

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

# Who is told, metrics made of our logs, and alerts on metrics. What the functions measure themselves is in measured.tf,
# what only the tables know in watch.tf.

locals {
  channels = concat(values(google_monitoring_notification_channel.email)[*].id, var.notification_channels)
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
}

# Lines that functions log (jsonPayload.message), counted: each begins an incident, however long that lasts. So they are
# for alerts, and charts are of what the functions measure.

locals {
  logged = {
    failed               = ["failed"]
    history_empty        = ["history empty"]
    metrics_not_exported = ["metrics not exported"]
    model_refused        = ["model refused", "pointer refused"]
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

# The last line of a job is its result as JSON: PROMOTED, REFUSED, DRIFT, RETIRED, FAILED and others.
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
      description = "What the job came to"
    }
  }
}

resource "google_logging_metric" "drift_of_score" {
  name            = "pix/drift_of_score"
  description     = "Population stability index of the score against what the champion was trained on"
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

locals {
  subscription = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id"
  pushes       = "one_of(${join(", ", [for subscription in google_pubsub_subscription.push : "\"${subscription.name}\""])})"
  deads        = "one_of(${join(", ", [for subscription in google_pubsub_subscription.dead : "\"${subscription.name}\""])})"

  # Each alerts when `aligner` over `period` seconds stays above `above` for `duration` seconds.
  alerts = {
    dead_letters = {
      title    = "Messages were given up"
      severity = "CRITICAL"
      filter   = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND ${local.subscription}=${local.deads}"
      aligner  = "ALIGN_MAX"
      reducer  = "REDUCE_MAX"
      above    = 0
      period   = 60
      duration = 0
      todo     = "They wait in the subscription named -dead. Find the cause in the logs of the function, mend it, then redrive."
    }
    failed_job = {
      title    = "A job has failed"
      severity = "ERROR"
      filter   = "metric.type=\"run.googleapis.com/job/completed_execution_count\" AND resource.type=\"cloud_run_job\" AND resource.labels.job_name=starts_with(\"pix-\") AND metric.labels.result=\"failed\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_SUM"
      above    = 0
      period   = 300
      duration = 0
      todo     = "The last line of its output says why, as does pix.model_ledger. What serves is untouched."
    }
    history_empty = {
      title    = "The store of history was emptied"
      severity = "CRITICAL"
      filter   = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.lines["history_empty"].name}\" AND resource.type=\"cloud_run_revision\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_SUM"
      above    = 0
      period   = 60
      duration = 0
      todo     = "It counts nothing until jobs.replay has filled it again from the tables (job pix-operate)."
    }
    history_memory = {
      title    = "The store of history fills up"
      severity = "ERROR"
      filter   = "metric.type=\"memorystore.googleapis.com/instance/memory/maximum_utilization\" AND resource.type=\"memorystore.googleapis.com/Instance\""
      aligner  = "ALIGN_MAX"
      reducer  = "REDUCE_MAX"
      above    = var.alert_history_memory
      period   = 300
      duration = 600
      todo     = "It evicts nothing: where it is full, it refuses, and Pix are scored without history. Take a larger valkey_node_type, or a smaller PIX_STATE_RECORD_DAYS."
    }
    metrics_not_exported = {
      title    = "Metrics do not arrive"
      severity = "ERROR"
      filter   = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.lines["metrics_not_exported"].name}\" AND resource.type=\"cloud_run_revision\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_SUM"
      above    = 0
      period   = 300
      duration = 600
      todo     = "Alerts on what the functions measure are blind meanwhile. `metrics not exported` in the logs says why: the endpoint (metrics_endpoint), its API, or the right to write there."
    }
    model_refused = {
      title    = "A function refuses the model"
      severity = "CRITICAL"
      filter   = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.lines["model_refused"].name}\" AND resource.type=\"cloud_run_revision\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_SUM"
      above    = 0
      period   = 60
      duration = 0
      todo     = "The bundle that models/current.json names is incomplete, altered, or computes something else than it promises. The version before serves on; instances that start now have none. Roll back."
    }
    oldest_unacked = {
      title    = "Messages wait too long"
      severity = "CRITICAL"
      filter   = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND ${local.subscription}=${local.pushes}"
      aligner  = "ALIGN_MAX"
      reducer  = "REDUCE_MAX"
      above    = var.alert_oldest_unacked_seconds
      period   = 60
      duration = 120
      todo     = "The function answers 503 (look for `retry later` and its reason), or has too few instances (see score_instances)."
    }
    push_p99 = {
      title    = "Functions answer slowly"
      severity = "WARNING"
      filter   = "metric.type=\"pubsub.googleapis.com/subscription/push_request_latencies\" AND ${local.subscription}=${local.pushes}"
      aligner  = "ALIGN_PERCENTILE_99"
      reducer  = "REDUCE_MAX"
      above    = var.alert_push_p99_seconds * 1000000 # microseconds
      period   = 60
      duration = 300
      todo     = "Look at the CPU and number of instances, at Valkey's CPU, and at the latency of BigQuery's AppendRows."
    }
    unhandled = {
      title    = "A function has met what it does not expect"
      severity = "ERROR"
      filter   = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.lines["failed"].name}\" AND resource.type=\"cloud_run_revision\""
      aligner  = "ALIGN_DELTA"
      reducer  = "REDUCE_SUM"
      above    = 0
      period   = 60
      duration = 0
      todo     = "The line in the log has the exception and the stack. The message is delivered again until it is dead."
    }
  }
}

resource "google_monitoring_alert_policy" "metrics" {
  for_each = local.alerts

  display_name          = "Pix: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels

  conditions {
    display_name = each.value.title

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = "${each.value.duration}s"

      aggregations {
        alignment_period     = "${each.value.period}s"
        per_series_aligner   = each.value.aligner
        cross_series_reducer = each.value.reducer
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"
  }

  documentation {
    content   = each.value.todo
    mime_type = "text/markdown"
  }
}

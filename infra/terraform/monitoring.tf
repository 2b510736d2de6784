# Who is told, metrics made of our logs, and alerts on metrics. What only the tables know is in watch.tf.

locals {
  channels = concat(values(google_monitoring_notification_channel.email)[*].id, var.notification_channels)
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
}

# Lines that functions and jobs log (jsonPayload.message), counted. One line may be about a whole batch, or an incident
# that goes on for a while.

locals {
  logged = {
    append_broken       = { messages = ["append stream broken"], of = local.logs_of_functions }
    bucket_unavailable  = { messages = ["bucket unavailable"], of = local.logs_of_functions }
    failed              = { messages = ["failed"], of = local.logs_of_functions }
    history_empty       = { messages = ["history empty"], of = local.logs_of_functions }
    history_unavailable = { messages = ["history unavailable"], of = local.logs_of_functions }
    job_failed          = { messages = ["job failed"], of = local.logs_of_jobs }
    model_refused       = { messages = ["model refused", "pointer refused"], of = local.logs_of_functions }
    model_swapped       = { messages = ["model swapped"], of = local.logs_of_functions }
    overloaded          = { messages = ["overloaded"], of = local.logs_of_functions }
    quarantined         = { messages = ["quarantined"], of = local.logs_of_functions }
    retry_later         = { messages = ["retry later"], of = local.logs_of_functions }
    unknown_reported    = { messages = ["unknown transactions reported"], of = local.logs_of_functions }
  }
  logs_of_functions = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^pix-\""
  logs_of_jobs      = "resource.type=\"cloud_run_job\" AND resource.labels.job_name=~\"^pix-\""
}

resource "google_logging_metric" "lines" {
  for_each = local.logged

  name        = "pix/${each.key}"
  description = "Logged: ${join(", ", each.value.messages)}"
  filter      = "${each.value.of} AND jsonPayload.message=(${join(" OR ", [for text in each.value.messages : "\"${text}\""])})"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
    unit        = "1"
  }

  depends_on = [google_project_service.apis]
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
      todo     = "It evicts nothing: where it is full, it refuses, and Pix are decided by rules alone. Take a larger valkey_node_type, or a smaller PIX_STATE_RECORD_DAYS."
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

# Notification channels, and the one alert policy that every alert shares. Each alerts-*.tf lists the alerts on the
# subject in its name. An alert has a title, a severity, a meaning, a first step, and one kind of condition:
#
#   threshold  `aligner` over `period` seconds stays above `above` for `duration` seconds
#   promql     `query` returns a value for `duration` seconds
#   log        a log entry matches `filter`

locals {
  alerts   = merge(local.function_alerts, local.history_alerts, local.job_alerts, local.table_alerts)
  channels = concat(values(google_monitoring_notification_channel.email)[*].id, var.notification_channels)

  # Conditions on the log-based metrics of logging.tf; an alert adds its period and duration.
  logged_thresholds = {
    for name, metric in google_logging_metric.lines : name => {
      filter  = "metric.type=\"logging.googleapis.com/user/${metric.name}\" AND resource.type=\"cloud_run_revision\""
      aligner = "ALIGN_DELTA"
      reducer = "REDUCE_SUM"
      above   = 0
    }
  }

  # Only Google's endpoint is sure to feed the PromQL alerts; with any other they may be silent.
  google_measures = startswith(var.metrics_endpoint, "https://telemetry.googleapis.com")
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  display_name = each.key
  type         = "email"
  labels       = { email_address = each.key }
}

# The kind of a condition is read from the name of its attribute, which is known in every plan, rather than by try()
# of its value, which is not known before a scheduled query has its id.
resource "google_monitoring_alert_policy" "alerts" {
  for_each = local.alerts

  display_name          = "Pix: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels

  conditions {
    display_name = each.value.title

    dynamic "condition_threshold" {
      for_each = [for name, value in each.value : value if name == "threshold"]
      content {
        filter          = condition_threshold.value.filter
        comparison      = "COMPARISON_GT"
        threshold_value = condition_threshold.value.above
        duration        = "${condition_threshold.value.duration}s"

        aggregations {
          alignment_period     = "${condition_threshold.value.period}s"
          per_series_aligner   = condition_threshold.value.aligner
          cross_series_reducer = condition_threshold.value.reducer
        }
      }
    }

    dynamic "condition_prometheus_query_language" {
      for_each = [for name, value in each.value : value if name == "promql"]
      content {
        query                     = condition_prometheus_query_language.value.query
        duration                  = "${condition_prometheus_query_language.value.duration}s"
        evaluation_interval       = "60s"
        disable_metric_validation = true # Google knows a metric only after the first function has sent it
      }
    }

    dynamic "condition_matched_log" {
      for_each = [for name, value in each.value : value if name == "log"]
      content {
        filter = condition_matched_log.value.filter
      }
    }
  }

  alert_strategy {
    auto_close = "86400s"

    # A condition on logs requires a limit, and no other condition takes one.
    dynamic "notification_rate_limit" {
      for_each = [for name, value in each.value : "3600s" if name == "log"]
      content {
        period = notification_rate_limit.value
      }
    }
  }

  documentation {
    content   = "**Meaning.** ${each.value.meaning}\n\n**First step.** ${each.value.first_step}"
    mime_type = "text/markdown"
  }
}

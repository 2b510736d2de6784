# Notification channels, and the one alert policy that every alert shares. The texts of all alerts, and the queries on the
# functions' own metrics, are in infra/monitoring/alerts.yaml, of which the rules for Prometheus are made too. Each
# alerts-*.tf lists the other conditions on the subject in its name. A condition is of one kind:
#
#   threshold  `aligner` over `period` seconds stays above `above` for `duration` seconds
#   promql     `query` returns a value for `duration` seconds
#   absent     a metric that was there has no data for `duration` seconds
#   log        a log entry matches `filter`

locals {
  defined = yamldecode(templatefile("${path.module}/../monitoring/alerts.yaml", {
    alert_degraded_share    = var.alert_degraded_share
    alert_late_share        = var.alert_late_share
    alert_quarantined       = var.alert_quarantined
    alert_reject_share      = var.alert_reject_share
    alert_silent_seconds    = coalesce(var.alert_silent_seconds, 0)
    alert_total_p99_seconds = var.alert_total_p99_seconds
    in_time                 = local.in_time
    slo_availability        = var.slo_availability
    slo_decision_time       = var.slo_decision_time
    slo_freshness           = var.slo_freshness
    slo_model_days          = var.slo_model_days
  }))

  # Rules alone decide every Pix until the first model is trained, which must not wake anybody.
  query_conditions = {
    for name, alert in local.defined.alerts : name => {
      promql = {
        query    = var.schedules_paused ? replace(alert.query, "|rules_only", "") : alert.query
        duration = alert.seconds
      }
    } if can(alert.query)
  }

  conditions = merge(local.function_conditions, local.history_conditions, local.job_conditions, local.query_conditions, local.slo_conditions, local.table_conditions)
  alerts     = { for name, condition in local.conditions : name => merge(local.defined.alerts[trimprefix(name, "table_")], condition) }

  channels = concat(values(google_monitoring_notification_channel.email)[*].id, var.notification_channels)

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

    dynamic "condition_absent" {
      for_each = [for name, value in each.value : value if name == "absent"]
      content {
        filter   = condition_absent.value.filter
        duration = "${condition_absent.value.duration}s"

        aggregations {
          alignment_period     = "60s"
          per_series_aligner   = "ALIGN_DELTA"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }

    dynamic "condition_prometheus_query_language" {
      for_each = [for name, value in each.value : value if name == "promql"]
      content {
        query                     = condition_prometheus_query_language.value.query
        duration                  = "${condition_prometheus_query_language.value.duration}s"
        evaluation_interval       = "60s"
        disable_metric_validation = true # Google knows a metric only minutes after it was made or first sent
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
    # Counts of rare events have no data between two of them, which would hold an incident open: the next event would
    # notify nobody. This is the least time that Google takes.
    auto_close = "1800s"

    # A condition on logs requires a limit, and no other condition takes one.
    dynamic "notification_rate_limit" {
      for_each = [for name, value in each.value : "3600s" if name == "log"]
      content {
        period = notification_rate_limit.value
      }
    }
  }

  documentation {
    content   = "**Meaning.** ${each.value.meaning}\n\n**First step.** ${each.value.first_step}\n\n**Runbook.** infra/README.md#${each.value.page}"
    mime_type = "text/markdown"
  }
}

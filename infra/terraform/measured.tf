# Alerts on what the functions measure themselves (shared/telemetry/metrics.py) and send by OTLP. Google keeps such a metric as
# prometheus.googleapis.com/NAME/KIND on prometheus_target, where `job` is the function and `instance` one of its
# instances; PromQL knows it by the name that the code gives it, and a histogram by the suffixes of Prometheus.
# https://docs.cloud.google.com/stackdriver/docs/otlp-metrics/overview, https://docs.cloud.google.com/monitoring/promql
# Where metrics go elsewhere these are silent; for the first of them watch.tf then asks the tables.

locals {
  google_measures = startswith(var.metrics_endpoint, "https://telemetry.googleapis.com")

  # Before the first model is trained every Pix is decided by rules alone, and nobody need be woken for it.
  degraded_steps = var.schedules_paused ? "no_history" : "no_history|rules_only"

  queries = {
    degraded = {
      title    = "Pix are decided without model or history"
      severity = "CRITICAL"
      query    = "sum(rate({\"pix.scored\", step=~\"${local.degraded_steps}\"}[5m])) / sum(rate({\"pix.scored\"}[5m])) > ${var.alert_degraded_share}"
      duration = 300
      todo     = "Look for `history unavailable` and `model refused` in the logs of pix-score; then at Valkey and at models/current.json."
    }
    history = {
      title    = "The store of history does not answer"
      severity = "CRITICAL"
      query    = "sum by (job) (rate({\"pix.history.calls\", outcome!=\"answered\"}[5m])) / sum by (job) (rate({\"pix.history.calls\"}[5m])) > ${var.alert_degraded_share}"
      duration = 300
      todo     = "Pix are scored without history, and what is scored so is not counted later. `history unavailable` in the logs says why; look at Valkey and at the network."
    }
    total_p99 = {
      title    = "Scoring takes long"
      severity = "WARNING"
      query    = "histogram_quantile(0.99, sum by (job, le) (rate({\"pix.stage.duration_bucket\", stage=\"total\"}[5m]))) > ${var.alert_total_p99_seconds}"
      duration = 300
      todo     = "The dashboard has the same by stage: `state` is Valkey, `append` is BigQuery, `features` and `model` are our CPU, and what is left is the queue."
    }
  }
}

resource "google_monitoring_alert_policy" "queries" {
  for_each = local.queries

  display_name          = "Pix: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = local.channels

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query                     = each.value.query
      duration                  = "${each.value.duration}s"
      evaluation_interval       = "60s"
      disable_metric_validation = true # a metric is not known before the first function has sent it
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

# Alerts on the functions and the messages that they receive.
#
# The functions send their own metrics (shared/telemetry/metrics.py) by OTLP. Google stores each as
# prometheus.googleapis.com/NAME/KIND on prometheus_target, where `job` is the function and `instance` one of its
# instances. PromQL uses the name in the code, and adds Prometheus's suffixes to a histogram.
# https://docs.cloud.google.com/stackdriver/docs/otlp-metrics/overview,
# https://docs.cloud.google.com/monitoring/promql

locals {
  subscription = "resource.type=\"pubsub_subscription\" AND resource.labels.subscription_id"
  pushes       = "one_of(${join(", ", [for subscription in google_pubsub_subscription.functions : "\"${subscription.name}\""])})"
  deads        = "one_of(${join(", ", [for subscription in google_pubsub_subscription.dead : "\"${subscription.name}\""])})"

  oldest_unacked = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
  waiting = [
    for topic, subscription in google_pubsub_subscription.functions : "\"${subscription.name}\"" if topic != "pix-transactions"
  ]

  # Rules alone decide every Pix until the first model is trained, which must not wake anybody.
  degraded_steps = var.schedules_paused ? "no_history" : "no_history|rules_only"

  function_alerts = {
    control_refused = {
      title      = "The switch of the control group cannot be read"
      severity   = "ERROR"
      meaning    = "models/control.json is not what jobs.control writes, so the control group is off: what the model stops gets no label by chance."
      first_step = "Run `jobs.control show`, find who wrote the object in the bucket's audit log, and switch the control group on or off again."
      threshold  = merge(local.logged_thresholds["control_refused"], { period = 60, duration = 0 })
    }
    dead_letters = {
      title      = "Dead letters are waiting"
      severity   = "CRITICAL"
      meaning    = "A message failed as many deliveries as it may have. It waits in the subscription whose name ends in -dead."
      first_step = "Find the cause in the logs of the function and fix it, then redrive the dead letters."
      threshold = {
        filter   = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND ${local.subscription}=${local.deads}"
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = 0
        period   = 60
        duration = 0
      }
    }
    degraded = {
      title      = "Pix are decided without model or history"
      severity   = "CRITICAL"
      meaning    = "Rules alone decide, or the model scores without history."
      first_step = "Search the logs of pix-score for `history unavailable`, `model refused` and `model failed`, then check Valkey and models/current.json."
      promql = {
        query    = "sum(rate({\"pix.scored\", step=~\"${local.degraded_steps}\"}[5m])) / sum(rate({\"pix.scored\"}[5m])) > ${var.alert_degraded_share}"
        duration = 300
      }
    }
    metrics_not_exported = {
      title      = "Metrics are not exported"
      severity   = "ERROR"
      meaning    = "Alerts and charts on the metrics of the functions are blind."
      first_step = "Read the reason after `metrics not exported` in the logs, then check metrics_endpoint, its API, and the right to write there."
      threshold  = merge(local.logged_thresholds["metrics_not_exported"], { period = 300, duration = 600 })
    }
    model_failed = {
      title      = "The model cannot score some Pix"
      severity   = "CRITICAL"
      meaning    = "The model that serves raises an error, or gives a score that is not a number. Rules alone decide those Pix, and their rows are degraded."
      first_step = "Read the version and the reason after `model failed` in the logs, and roll back the model."
      threshold  = merge(local.logged_thresholds["model_failed"], { period = 60, duration = 0 })
    }
    model_refused = {
      title      = "A function refuses the model"
      severity   = "CRITICAL"
      meaning    = "The bundle that models/current.json names is incomplete, altered, or fails its golden vectors. Running instances keep the previous version; new ones have none."
      first_step = "Roll back the model, then find out who wrote to the bucket."
      threshold  = merge(local.logged_thresholds["model_refused"], { period = 60, duration = 0 })
    }
    oldest_unacked = {
      title      = "Pix wait too long for their score"
      severity   = "CRITICAL"
      meaning    = "The functions answer 503 or 429, or there are too few instances."
      first_step = "Search the logs for `retry later` and its reason, then compare the number of instances with score_instances and the quotas."
      threshold = {
        filter   = "${local.oldest_unacked} AND ${local.subscription}=\"${google_pubsub_subscription.functions["pix-transactions"].name}\""
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = var.alert_oldest_unacked_seconds
        period   = 60
        duration = 120
      }
    }
    push_p99 = {
      title      = "Functions answer slowly"
      severity   = "WARNING"
      meaning    = "Pub/Sub waits long for the answer to a push: instances, Valkey or BigQuery's AppendRows are slow."
      first_step = "On the dashboard, check the CPU and number of instances and the CPU of Valkey, then the status of BigQuery."
      threshold = {
        filter   = "metric.type=\"pubsub.googleapis.com/subscription/push_request_latencies\" AND ${local.subscription}=${local.pushes}"
        aligner  = "ALIGN_PERCENTILE_99"
        reducer  = "REDUCE_MAX"
        above    = var.alert_push_p99_seconds * 1000000 # microseconds
        period   = 60
        duration = 300
      }
    }
    rows_refused = {
      title      = "A table refuses rows"
      severity   = "CRITICAL"
      meaning    = "A table does not take rows that a function made: its schema differs from the code, or the code lets in a value that BigQuery does not hold. Their messages are delivered again until they are dead letters; none is lost."
      first_step = "Read the table after `rows refused` in the logs and compare its schema with shared/contract/bigquery. Fix schema or code before the dead letters expire, then redrive them."
      threshold  = merge(local.logged_thresholds["rows_refused"], { period = 60, duration = 0 })
    }
    total_p99 = {
      title      = "Scoring is slow"
      severity   = "WARNING"
      meaning    = "A function takes long to handle a message, measured inside it, without the network between it and Pub/Sub."
      first_step = "Find the slow stage on the dashboard: `state` is Valkey, `append` is BigQuery, `features` and `model` are our CPU, the rest is the queue."
      promql = {
        query    = "histogram_quantile(0.99, sum by (job, le) (rate({\"pix.stage.duration_bucket\", stage=\"total\"}[5m]))) > ${var.alert_total_p99_seconds}"
        duration = 300
      }
    }
    waiting = {
      title      = "Outcomes or reports wait too long"
      severity   = "ERROR"
      meaning    = "The functions answer 503 or 429, there are too few instances, or a message is about a Pix that was never scored: it waits for that Pix until it is a dead letter."
      first_step = "Search the logs of pix-outcome and pix-label for `retry later` and its reason. If only a few messages wait for their Pix, ask the publisher which ones it does not publish to pix-transactions."
      threshold = {
        filter   = "${local.oldest_unacked} AND ${local.subscription}=one_of(${join(", ", local.waiting)})"
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = var.alert_waiting_seconds
        period   = 60
        duration = 120
      }
    }
    unhandled = {
      title      = "A function failed on an unexpected error"
      severity   = "ERROR"
      meaning    = "A bug: an error that the code does not handle. Pub/Sub delivers the message again until it is a dead letter."
      first_step = "Read the exception and its stack in the log. If the last deployment brought it, roll that back."
      threshold  = merge(local.logged_thresholds["failed"], { period = 60, duration = 0 })
    }
  }
}

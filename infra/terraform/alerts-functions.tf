# Conditions of alerts on the functions and the messages that they receive, beside those of alerts.yaml.
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

  # Publishers of a test environment are silent most of the time.
  silence_conditions = {
    no_traffic = {
      absent = {
        filter   = "metric.type=\"pubsub.googleapis.com/topic/send_message_operation_count\" AND resource.type=\"pubsub_topic\" AND resource.labels.topic_id=\"${google_pubsub_topic.topics["pix-transactions"].name}\""
        duration = var.alert_silent_seconds
      }
    }
  }

  function_conditions = merge(local.counted_conditions, { for name, condition in local.silence_conditions : name => condition if var.alert_silent_seconds != null })
  counted_conditions = {
    challenger_dropped = {
      log = { filter = local.lines["challenger_dropped"] }
    }
    control_refused = {
      log = { filter = local.lines["control_refused"] }
    }
    dead_letters = {
      threshold = {
        filter   = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND ${local.subscription}=${local.deads}"
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = 0
        period   = 60
        duration = 0
      }
    }
    # Audit logs of what has named a reason to pass over the policy of images (bootstrap/admission.tf).
    glass_broken = {
      log = {
        filter = join(" OR ", [
          "(protoPayload.serviceName=\"run.googleapis.com\" AND \"breakglass\")",
          "(protoPayload.serviceName=\"k8s.io\" AND \"image-policy.k8s.io/break-glass\")",
        ])
      }
    }
    metrics_not_exported = {
      promql = {
        query    = "sum(increase({\"logging.googleapis.com/user/${google_logging_metric.metrics_not_exported.name}\", monitored_resource=\"cloud_run_revision\"}[5m])) > 0"
        duration = 600
      }
    }
    model_failed = {
      log = { filter = local.lines["model_failed"] }
    }
    model_refused = {
      log = { filter = local.lines["model_refused"] }
    }
    oldest_unacked = {
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
      log = { filter = local.lines["rows_refused"] }
    }
    waiting = {
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
      log = { filter = local.lines["failed"] }
    }
  }
}

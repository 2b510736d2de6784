# Conditions of alerts on the history store (Valkey), by the store's own metrics and by the logs of the functions that
# call it. By these functions' metrics there is one more, in alerts.yaml.

locals {
  history_conditions = {
    history_connections = {
      threshold = {
        filter   = "metric.type=\"memorystore.googleapis.com/instance/stats/total_rejected_connections_count\" AND resource.type=\"memorystore.googleapis.com/Instance\""
        aligner  = "ALIGN_DELTA"
        reducer  = "REDUCE_SUM"
        above    = 0
        period   = 300
        duration = 0
      }
    }
    history_cpu = {
      threshold = {
        filter   = "metric.type=\"memorystore.googleapis.com/instance/cpu/maximum_utilization\" AND resource.type=\"memorystore.googleapis.com/Instance\""
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = var.alert_history_cpu
        period   = 60
        duration = 600
      }
    }
    history_empty = {
      log = { filter = local.lines["history_empty"] }
    }
    history_memory = {
      threshold = {
        filter   = "metric.type=\"memorystore.googleapis.com/instance/memory/maximum_utilization\" AND resource.type=\"memorystore.googleapis.com/Instance\""
        aligner  = "ALIGN_MAX"
        reducer  = "REDUCE_MAX"
        above    = var.alert_history_memory
        period   = 300
        duration = 600
      }
    }
  }
}

# Alerts on the history store (Valkey), seen from both sides: by the store's own metrics and by the functions that
# call it.

locals {
  history_alerts = {
    history = {
      title      = "The history store does not answer"
      severity   = "CRITICAL"
      meaning    = "Pix are scored without history. pix-repair counts them once the store answers."
      first_step = "Read the reason after `history unavailable` in the logs, then check Valkey and the network."
      promql = {
        query    = "sum by (job) (rate({\"pix.history.calls\", outcome!=\"answered\"}[5m])) / sum by (job) (rate({\"pix.history.calls\"}[5m])) > ${var.alert_degraded_share}"
        duration = 300
      }
    }
    history_empty = {
      title      = "The history store was emptied"
      severity   = "CRITICAL"
      meaning    = "Valkey was replaced. It counts nothing until pix-repair has filled it again, from the last snapshot and the tables."
      first_step = "Watch the executions of pix-repair, which starts every five minutes; if it fails, read its log and run it by hand."
      threshold  = merge(local.logged_thresholds["history_empty"], { period = 60, duration = 0 })
    }
    history_memory = {
      title      = "The history store is filling up"
      severity   = "ERROR"
      meaning    = "Valkey evicts nothing: once full, it refuses writes, and Pix are scored without history."
      first_step = "Set a larger valkey_node_type, or a smaller PIX_STATE_RECORD_DAYS, and run the pipeline."
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

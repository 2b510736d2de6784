# One page: is it quick, is it whole, is it learning.

locals {
  service = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=starts_with(\"pix-\")"
  counted = "logging.googleapis.com/user/pix"

  charts = [
    { title = "Messages a second", filter = "metric.type=\"pubsub.googleapis.com/subscription/push_request_count\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = "resource.label.subscription_id" },
    { title = "Answer to a push, p99 (microseconds)", filter = "metric.type=\"pubsub.googleapis.com/subscription/push_request_latencies\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Oldest message that waits (s)", filter = "metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\" AND ${local.subscription}=${local.pushes}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Dead letters", filter = "metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND ${local.subscription}=${local.deads}", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = "resource.label.subscription_id" },
    { title = "Instances", filter = "metric.type=\"run.googleapis.com/container/instance_count\" AND ${local.service}", aligner = "ALIGN_MAX", reducer = "REDUCE_SUM", by = "resource.label.service_name" },
    { title = "CPU of instances, p99", filter = "metric.type=\"run.googleapis.com/container/cpu/utilizations\" AND ${local.service}", aligner = "ALIGN_PERCENTILE_99", reducer = "REDUCE_MAX", by = "resource.label.service_name" },
    { title = "Refusals: delivered again later", filter = "metric.type=\"${local.counted}/retry_later\" AND ${local.service}", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "resource.label.service_name" },
    { title = "Batches with quarantined messages", filter = "metric.type=\"${local.counted}/quarantined\" AND ${local.service}", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "resource.label.service_name" },
    { title = "Batches scored without history", filter = "metric.type=\"${local.counted}/history_unavailable\" AND ${local.service}", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "resource.label.service_name" },
    { title = "Models swapped in, by instance", filter = "metric.type=\"${local.counted}/model_swapped\" AND ${local.service}", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "resource.label.revision_name" },
    { title = "Memory of the store of history", filter = "metric.type=\"memorystore.googleapis.com/instance/memory/maximum_utilization\" AND resource.type=\"memorystore.googleapis.com/Instance\"", aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = null },
    { title = "Jobs that ended", filter = "metric.type=\"run.googleapis.com/job/completed_execution_count\" AND resource.type=\"cloud_run_job\"", aligner = "ALIGN_DELTA", reducer = "REDUCE_SUM", by = "metric.label.result" },
  ]
}

resource "google_monitoring_dashboard" "pix" {
  dashboard_json = jsonencode({
    displayName = "Pix fraud scoring"
    mosaicLayout = {
      columns = 48
      tiles = [
        for place, chart in local.charts : {
          xPos   = 16 * (place % 3)
          yPos   = 14 * floor(place / 3)
          width  = 16
          height = 14
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [{
                plotType = "LINE"
                timeSeriesQuery = {
                  timeSeriesFilter = {
                    filter = chart.filter
                    aggregation = {
                      alignmentPeriod    = "60s"
                      perSeriesAligner   = chart.aligner
                      crossSeriesReducer = chart.reducer
                      groupByFields      = chart.by == null ? [] : [chart.by]
                    }
                  }
                }
              }]
            }
          }
        }
      ]
    }
  })

  depends_on = [google_logging_metric.lines]
}

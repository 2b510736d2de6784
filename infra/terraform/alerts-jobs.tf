# Conditions of alerts on executions of the jobs. Their results are in pix.model_ledger, which alerts-tables.tf queries.

locals {
  job_conditions = {
    failed_job = {
      threshold = {
        filter   = "metric.type=\"run.googleapis.com/job/completed_execution_count\" AND resource.type=\"cloud_run_job\" AND resource.labels.job_name=starts_with(\"pix-\") AND metric.labels.result=\"failed\""
        aligner  = "ALIGN_DELTA"
        reducer  = "REDUCE_SUM"
        above    = 0
        period   = 300
        duration = 0
      }
    }
  }
}

# Alerts on executions of the jobs. Their results are in pix.model_ledger, which alerts-tables.tf queries.

locals {
  job_alerts = {
    failed_job = {
      title      = "A job has failed"
      severity   = "ERROR"
      meaning    = "An execution ended with an error. The model that serves is untouched."
      first_step = "Read the reason in the last line of the execution's log, and in pix.model_ledger. Fix it; the schedule runs the job again, or run it by hand."
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

variable "challenge_resources" {
  description = "CPU and memory of the job that guards tests of challengers."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "1", memory = "1Gi" }
}

variable "challenge_schedule" {
  description = "Schedule of the job that guards tests of challengers, and takes the steps of their ramps (cron, UTC)."
  type        = string
  default     = "* * * * *"
}

variable "compare_schedule" {
  description = "Schedule of the job that compares a challenger with the champion (cron, UTC); after monitor_schedule."
  type        = string
  default     = "0 8 * * *"
}

variable "drift_resources" {
  description = "CPU and memory of the compare, drift, retire and operate jobs."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "2", memory = "4Gi" }
}

variable "drift_schedule" {
  description = "Schedule of the drift job (cron, UTC)."
  type        = string
  default     = "15 */6 * * *"
}

variable "expire_resources" {
  description = "CPU and memory of the job that ends holds."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "1", memory = "512Mi" }
}

variable "expire_schedule" {
  description = "Schedule of the job that ends holds and blocks whose deadline has passed (cron, UTC)."
  type        = string
  default     = "* * * * *"
}

variable "jobs_image" {
  description = "Image of the jobs and of MLflow by digest, REGION-docker.pkg.dev/PROJECT/pix/jobs@sha256:..."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.jobs_image))
    error_message = "Name the image of the jobs by its digest, so that the tested image is the one that runs."
  }
}

variable "monitor_resources" {
  description = "CPU and memory of the monitor and probation jobs; BigQuery does their work."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "1", memory = "1Gi" }
}

variable "monitor_schedule" {
  description = "Schedule of the job that measures health (cron, UTC); a day is measured six hours after its end."
  type        = string
  default     = "30 6 * * *"
}

variable "operate_resources" {
  description = "CPU and memory of the jobs that replay. They hold all history in memory."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "4", memory = "16Gi" }
}

variable "probation_schedule" {
  description = "Schedule of the job that looks at a model in its first minutes and on its first day (cron, UTC)."
  type        = string
  default     = "*/5 * * * *"
}

variable "repair_schedule" {
  description = "Schedule of the job that fills a lost store of history, and rows without places (cron, UTC)."
  type        = string
  default     = "*/5 * * * *"
}

variable "retire_schedule" {
  description = "Schedule of the job that removes expired models (cron, UTC). The bucket itself deletes snapshots (snapshot_retention_days)."
  type        = string
  default     = "45 6 * * *"
}

variable "retrain_engine" {
  description = "Where the schedule trains: local, in the job pix-retrain, or spark, in a batch on Dataproc Serverless (jobs.retrain --engine spark). A person starts the job in either case."
  type        = string
  default     = "local"

  validation {
    condition     = contains(["local", "spark"], var.retrain_engine)
    error_message = "retrain_engine must be local or spark."
  }
}

variable "retrain_resources" {
  description = "CPU and memory of the retraining."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "8", memory = "32Gi" }
}

variable "retrain_schedule" {
  description = "Schedule on which pix-retrain checks whether a retraining is due by jobs/config.yaml (cron, UTC)."
  type        = string
  default     = "30 5 * * *"
}

variable "retrain_timeout_seconds" {
  description = "Longest time that a retraining may take (s)."
  type        = number
  default     = 21600
}

variable "schedules_paused" {
  description = "Start no scheduled job, and pause the alerts on their results (drift, learning, swaps); for the time before labels have matured. Alerts on serving stay active."
  type        = bool
  default     = false
}

variable "skew_schedule" {
  description = "Schedule of the job that compares the served features of the day before with replayed ones (cron, UTC)."
  type        = string
  default     = "10 4 * * *"
}

variable "snapshot_schedule" {
  description = "Schedule of the snapshots of history (cron, UTC)."
  type        = string
  default     = "5 * * * *"
}

variable "spark_image" {
  description = "Image of jobs/Dockerfile.spark by its digest, for what the schedule starts on Dataproc Serverless; null with neither feed nor retrain_engine spark."
  type        = string
  default     = null

  validation {
    condition     = var.spark_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.spark_image))
    error_message = "spark_image names a digest: a tag could name something else tomorrow."
  }
  validation {
    condition     = var.spark_image != null || (var.feed != "spark" && var.retrain_engine != "spark")
    error_message = "With feed or retrain_engine spark, name the spark_image."
  }
}

variable "spark_properties" {
  description = "Properties of Spark for what the schedule starts, such as spark.executor.instances and spark.dynamicAllocation.maxExecutors."
  type        = map(string)
  default     = {}
}

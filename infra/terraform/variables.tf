variable "ack_deadline_seconds" {
  description = "How long Pub/Sub waits for the answer to a push before it delivers again (s)."
  type        = number
  default     = 60

  validation {
    condition     = var.ack_deadline_seconds >= 10 && var.ack_deadline_seconds <= 600
    error_message = "Pub/Sub takes 10 to 600 seconds."
  }
}

variable "alert_days_without_retraining" {
  description = "Days without a training, or a reason not to train, after which an alert is raised."
  type        = number
  default     = 2
}

variable "alert_days_without_swap" {
  description = "Days that the same model may serve before an alert is raised."
  type        = number
  default     = 45
}

variable "alert_degraded_share" {
  description = "Share of Pix decided without model or history, and of calls of the store of history that fail, above which an alert is raised."
  type        = number
  default     = 0.001
}

variable "alert_emails" {
  description = "Addresses that alerts are sent to."
  type        = list(string)
  default     = []
}

variable "alert_history_memory" {
  description = "Share of the memory of Valkey above which an alert is raised."
  type        = number
  default     = 0.8
}

variable "alert_late_share" {
  description = "Share of the Pix of the last 30 minutes scored after their deadline above which an alert is raised."
  type        = number
  default     = 0.001
}

variable "alert_oldest_unacked_seconds" {
  description = "Age of the oldest message that waits for a function above which an alert is raised (s)."
  type        = number
  default     = 120
}

variable "alert_push_p99_seconds" {
  description = "99th percentile of the time that a function takes to answer a push above which an alert is raised (s)."
  type        = number
  default     = 2
}

variable "alert_quarantined" {
  description = "Messages quarantined in 30 minutes above which an alert is raised."
  type        = number
  default     = 20
}

variable "alert_total_p99_seconds" {
  description = "99th percentile of the time from a message's body to its stored row, as the functions measure it, above which an alert is raised (s)."
  type        = number
  default     = 1
}

variable "analysts" {
  description = "Members, such as group:fraud@example.com, that may query the dataset. It holds pseudonyms, and no names."
  type        = list(string)
  default     = []
}

variable "base_digest" {
  description = "Digest of the image that jobs/Dockerfile builds upon, sha256:...; renewing it is how the image is patched."
  type        = string
  default     = null

  validation {
    condition     = var.base_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.base_digest))
    error_message = "A digest is sha256: and 64 hexadecimal digits."
  }
}

variable "billing_account" {
  description = "Billing account to make a budget in; null makes none."
  type        = string
  default     = null
}

variable "budget_amount" {
  description = "Budget of a month, in budget_currency."
  type        = number
  default     = 5000
}

variable "budget_currency" {
  description = "Currency of the billing account."
  type        = string
  default     = "BRL"
}

variable "builder" {
  description = "Builder of Google's buildpacks by digest, gcr.io/buildpacks/builder@sha256:..., that makes the images of the functions."
  type        = string
  default     = null

  validation {
    condition     = var.builder == null || can(regex("@sha256:[0-9a-f]{64}$", var.builder))
    error_message = "Name the builder by its digest."
  }
}

variable "dead_letter_retention" {
  description = "How long dead letters are kept for a person to look at; they hold personal data in clear."
  type        = string
  default     = "1209600s"
}

variable "deletion_protection" {
  description = "Refuse to destroy what holds data or serves. False only where an environment may vanish."
  type        = bool
  default     = true
}

variable "drift_resources" {
  description = "CPU and memory of the drift and retire jobs."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "2", memory = "4Gi" }
}

variable "drift_schedule" {
  description = "When drift is measured (cron, UTC)."
  type        = string
  default     = "15 */6 * * *"
}

variable "environment" {
  description = "Name of the environment; a label of everything."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "An environment is staging or production."
  }
}

variable "feedback_delivery_attempts" {
  description = "Deliveries of a report after which it is a dead letter. Many: a report says what no other message says again."
  type        = number
  default     = 100

  validation {
    condition     = var.feedback_delivery_attempts >= 5 && var.feedback_delivery_attempts <= 100
    error_message = "Pub/Sub takes 5 to 100 attempts."
  }
}

variable "function_images" {
  description = "Images of the functions, by digest: REGION-docker.pkg.dev/PROJECT/pix/score@sha256:..., built of the staged sources with the function's name as GOOGLE_FUNCTION_TARGET."
  type        = object({ label = string, score = string })

  validation {
    condition     = alltrue([for image in values(var.function_images) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Name the images of functions by their digests: what was tested is then what runs."
  }
}

variable "hmac_key_version" {
  description = "Raise to make a new key behind the pseudonyms. All history starts anew with it."
  type        = number
  default     = 1
}

variable "jobs_image" {
  description = "Image of the jobs and of MLflow, by digest: REGION-docker.pkg.dev/PROJECT/pix/jobs@sha256:..."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.jobs_image))
    error_message = "Name the image of the jobs by its digest: what was tested is then what runs."
  }
}

variable "kms_key" {
  description = "Key of Cloud KMS that everything stored is encrypted with; null leaves that to Google's keys. The service agents of Pub/Sub, BigQuery, Storage, Run, Secret Manager, Artifact Registry, Cloud SQL and Memorystore must be allowed to use it."
  type        = string
  default     = null
}

variable "label_concurrency" {
  description = "Requests that one instance of the label function handles at a time; they share one query and one append."
  type        = number
  default     = 200
}

variable "label_cpu" {
  description = "CPUs of an instance of the label function."
  type        = string
  default     = "1"
}

variable "label_instances" {
  description = "Fewest and most instances of the label function."
  type        = object({ min = number, max = number })
  default     = { min = 0, max = 5 }
}

variable "label_memory" {
  description = "Memory of an instance of the label function."
  type        = string
  default     = "512Mi"
}

variable "labels" {
  description = "Labels for everything that can have labels, beside application and environment."
  type        = map(string)
  default     = {}
}

variable "maturity_days" {
  description = "Days after which a Pix that nobody reported counts as legitimate: 80 to report, 7 to analyse."
  type        = number
  default     = 87
}

variable "maximum_backoff_seconds" {
  description = "Longest pause between two deliveries of a message (s)."
  type        = number
  default     = 600

  validation {
    condition     = var.maximum_backoff_seconds >= 10 && var.maximum_backoff_seconds <= 600
    error_message = "Pub/Sub takes 10 to 600 seconds."
  }
}

variable "metrics_endpoint" {
  description = "Where the functions send metrics by OTLP; empty: nowhere. Another collector has to be reachable from the subnet. Alerts on what functions measure (measured.tf) read Cloud Monitoring: without Google's endpoint they are silent, unless the collector hands on to it under the same names, and a query on a schedule watches for Pix without model or history instead."
  type        = string
  default     = "https://telemetry.googleapis.com"
}

variable "mlflow_database_availability" {
  description = "ZONAL or REGIONAL. Nothing that serves needs MLflow; a retraining does."
  type        = string
  default     = "ZONAL"
}

variable "mlflow_database_tier" {
  description = "Machine of MLflow's database."
  type        = string
  default     = "db-custom-1-3840"
}

variable "mlflow_ingress" {
  description = "From where MLflow can be reached. INGRESS_TRAFFIC_ALL lets mlflow_users come by `gcloud run services proxy`; who calls is checked all the same."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"
}

variable "mlflow_max_instances" {
  description = "Most instances of MLflow."
  type        = number
  default     = 2
}

variable "mlflow_password_version" {
  description = "Raise to give MLflow a new password in its database."
  type        = number
  default     = 1
}

variable "mlflow_users" {
  description = "Members, such as group:fraud@example.com, that may use MLflow."
  type        = list(string)
  default     = []
}

variable "noncurrent_version_days" {
  description = "Days for which what was overwritten or deleted in a bucket can be had back by its version."
  type        = number
  default     = 30
}

variable "notification_channels" {
  description = "Channels of Cloud Monitoring that exist already and that alerts are sent to as well."
  type        = list(string)
  default     = []
}

variable "operate_resources" {
  description = "CPU and memory of the job that a person starts. A replay holds all state in memory."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "4", memory = "16Gi" }
}

variable "partition_expiry_days" {
  description = "Days after which the rows of a table vanish, by table; rows of a table that is not named stay."
  type        = map(number)
  default     = { feedback = 1825, quarantine = 180, score_events = 1825 }

  validation {
    condition     = alltrue([for table, days in var.partition_expiry_days : days > 180 if table != "quarantine"])
    error_message = "History and training need rows of more than 180 days."
  }
}

variable "project_id" {
  description = "Project of this environment."
  type        = string
}

variable "promote_from" {
  description = "In production, the registry of staging, REGION-docker.pkg.dev/PROJECT/pix, that images are taken from."
  type        = string
  default     = null
}

variable "publish_in_region_only" {
  description = "Refuse what is published by way of another region. Messages are stored in this region only in any case; publishers then have to use its endpoint."
  type        = bool
  default     = false
}

variable "publishers" {
  description = "Members that may publish, by topic, such as { pix-transactions = [\"serviceAccount:...\"] }."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.publishers), ["pix-feedback", "pix-transactions"])) == 0
    error_message = "The topics are pix-transactions and pix-feedback."
  }

  validation {
    condition     = !anytrue([for member in flatten(values(var.publishers)) : contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "Nothing here is public."
  }
}

variable "region" {
  description = "Region of everything, also of what is stored."
  type        = string
  default     = "southamerica-east1"
}

variable "repository" {
  description = "Repository that the pipeline is started by, as Cloud Build has connected it: projects/.../locations/.../connections/.../repositories/...; null makes no triggers."
  type        = string
  default     = null

  validation {
    condition = var.repository == null || (
      var.environment == "production" ? var.promote_from != null : var.base_digest != null && var.builder != null
    )
    error_message = "A pipeline needs a base_digest and a builder in staging, and in production promote_from."
  }
}

variable "retire_schedule" {
  description = "When models that have passed their time are removed (cron, UTC); snapshots are the bucket's own business (snapshot_retention_days)."
  type        = string
  default     = "45 6 * * *"
}

variable "retrain_resources" {
  description = "CPU and memory of the retraining."
  type        = object({ cpu = string, memory = string })
  default     = { cpu = "8", memory = "32Gi" }
}

variable "retrain_schedule" {
  description = "When a retraining is considered (cron, UTC); jobs/config.yaml says when one is due."
  type        = string
  default     = "30 5 * * *"
}

variable "retrain_timeout_seconds" {
  description = "Longest that a retraining may take (s)."
  type        = number
  default     = 21600
}

variable "schedules_paused" {
  description = "Start no job by itself, and do not watch what they should bring (drift, learning, swaps); for the time before labels have matured. What serves is watched all the same."
  type        = bool
  default     = false
}

variable "score_concurrency" {
  description = "Requests that one instance of the score function handles at a time; they share one batch. It is below PIX_QUEUE_MAX, so more than that the instance does not even see: Cloud Run gives it to another one, or answers 429 itself where there is none. Our own 429 is for what has waited PIX_QUEUE_SECONDS, or where nothing limits requests."
  type        = number
  default     = 250
}

variable "score_cpu" {
  description = "CPUs of an instance of the score function, which computes on one."
  type        = string
  default     = "1"
}

variable "score_instances" {
  description = "Fewest and most instances of the score function."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 50 }
}

variable "score_memory" {
  description = "Memory of an instance of the score function; it holds up to three models."
  type        = string
  default     = "1Gi"
}

variable "settings" {
  description = "Settings of shared/settings.py to give other values than there, by environment variable."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.settings), [
      "OTEL_METRIC_EXPORT_INTERVAL",
      "PIX_AHEAD_SECONDS",
      "PIX_APPEND_TIMEOUT_SECONDS",
      "PIX_BATCHES_IN_FLIGHT",
      "PIX_BATCH_ENOUGH",
      "PIX_BATCH_LINGER_SECONDS",
      "PIX_BATCH_MAX",
      "PIX_DEADLINE_SECONDS",
      "PIX_DRAIN_SECONDS",
      "PIX_LOG_SECONDS",
      "PIX_LOOKUP_SECONDS",
      "PIX_POINTER_TTL_SECONDS",
      "PIX_QUEUE_MAX",
      "PIX_QUEUE_SECONDS",
      "PIX_STATE_CALL_SECONDS",
      "PIX_STATE_CLAIM_SECONDS",
      "PIX_STATE_CONNECT_SECONDS",
      "PIX_STATE_PAUSE_SECONDS",
      "PIX_STATE_RECORD_DAYS",
    ])) == 0
    error_message = "Only the settings listed in variables.tf can be given; the others follow from resources."
  }
}

variable "snapshot_retention_days" {
  description = "Days for which a snapshot of training data is kept, to train on the same rows again."
  type        = number
  default     = 365
}

variable "soft_delete_days" {
  description = "Days for which a deleted object, or bucket, can be restored."
  type        = number
  default     = 7
}

variable "subnet_cidr" {
  description = "Addresses of the subnet; every instance takes one, and two while it is replaced."
  type        = string
  default     = "10.64.0.0/22"
}

variable "topic_retention" {
  description = "How long a topic keeps messages for a new subscription to read again, such as \"86400s\"; null: not at all, as they hold personal data in clear."
  type        = string
  default     = null
}

variable "transactions_delivery_attempts" {
  description = "Deliveries of a transaction after which it is a dead letter: 50 last about seven hours."
  type        = number
  default     = 50

  validation {
    condition     = var.transactions_delivery_attempts >= 5 && var.transactions_delivery_attempts <= 100
    error_message = "Pub/Sub takes 5 to 100 attempts."
  }
}

variable "valkey_engine_version" {
  description = "Version of Valkey."
  type        = string
  default     = "VALKEY_8_0"
}

variable "valkey_node_type" {
  description = "Size of a node of Valkey."
  type        = string
  default     = "STANDARD_SMALL"
}

variable "valkey_replicas" {
  description = "Replicas of the primary; without one, history is away while the primary is replaced."
  type        = number
  default     = 1
}

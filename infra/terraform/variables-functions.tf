variable "decide_concurrency" {
  description = "Requests that one instance of the decide function handles at a time; they share one batch. See score_concurrency."
  type        = number
  default     = 250
}

variable "decide_cpu" {
  description = "CPUs of an instance of the decide function, which computes on a single one."
  type        = string
  default     = "1"
}

variable "decide_instances" {
  description = "Minimum and maximum number of instances of the decide function. A caller waits for each answer, so keep one where it is used; none costs nothing where nobody asks."
  type        = object({ min = number, max = number })
  default     = { min = 0, max = 20 }
}

variable "decide_memory" {
  description = "Memory of an instance of the decide function, which holds up to three models."
  type        = string
  default     = "1Gi"
}

variable "decision_callers" {
  description = "Members that may ask the decide function, such as serviceAccount:core@my-bank.iam.gserviceaccount.com. It takes calls of the project's networks alone."
  type        = list(string)
  default     = []
}

variable "decision_readers" {
  description = "Members that may attach subscriptions to pix-decisions. Its messages name a Pix by its EndToEndId, and nobody."
  type        = list(string)
  default     = []
}

variable "feed" {
  description = "The way of messages to the functions: push, to services that Cloud Run scales; pull, by workers in worker pools of a fixed size, for less cost a message and no limit of requests; kubernetes, by workers in GKE, which runs the jobs too (infra/kubernetes); or spark, by streams on Dataproc Serverless."
  type        = string
  default     = "push"

  validation {
    condition     = contains(["kubernetes", "pull", "push", "spark"], var.feed)
    error_message = "feed must be push, pull, kubernetes or spark."
  }
}

variable "function_images" {
  description = "Images of the functions by digest, REGION-docker.pkg.dev/PROJECT/pix/score@sha256:..., built from the staged sources with the function's name as GOOGLE_FUNCTION_TARGET."
  type        = object({ decide = string, label = string, outcome = string, score = string })

  validation {
    condition     = alltrue([for image in values(var.function_images) : can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Name the images of functions by their digests, so that the tested image is the one that runs."
  }
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
  description = "Minimum and maximum number of instances of the label function."
  type        = object({ min = number, max = number })
  default     = { min = 0, max = 5 }
}

variable "label_memory" {
  description = "Memory of an instance of the label function."
  type        = string
  default     = "512Mi"
}

variable "metrics_endpoint" {
  description = "OTLP endpoint for the metrics of the functions; empty sends none. Another collector must be reachable from the subnet. PromQL alerts read Cloud Monitoring, so without Google's endpoint they are silent unless the collector forwards the metrics to it under the same names. A scheduled query then watches for Pix without model or history instead."
  type        = string
  default     = "https://telemetry.googleapis.com"
}

variable "outcome_concurrency" {
  description = "Requests that one instance of the outcome function handles at a time; they share one batch. See score_concurrency."
  type        = number
  default     = 250
}

variable "outcome_cpu" {
  description = "CPUs of an instance of the outcome function, which computes on a single one."
  type        = string
  default     = "1"
}

variable "outcome_instances" {
  description = "Minimum and maximum number of instances of the outcome function. No customer waits for it, so none needs to be kept."
  type        = object({ min = number, max = number })
  default     = { min = 0, max = 20 }
}

variable "outcome_memory" {
  description = "Memory of an instance of the outcome function, which holds no model."
  type        = string
  default     = "512Mi"
}

variable "outcomes" {
  description = "Whether an institution publishes the outcomes of Pix (PIX_OUTCOMES): published; or assumed, where APPROVE settles and HOLD, BLOCK and REJECT do not."
  type        = string
  default     = "assumed"

  validation {
    condition     = contains(["assumed", "published"], var.outcomes)
    error_message = "outcomes must be assumed or published."
  }

  validation {
    condition     = var.outcomes == "assumed" || length(lookup(var.publishers, "pix-outcomes", [])) > 0
    error_message = "With published outcomes nothing settles until somebody publishes them: name the publisher of pix-outcomes in publishers."
  }
}

variable "publish_decisions" {
  description = "Decisions that are published to pix-decisions (PIX_PUBLISH_DECISIONS): all, stopped (HOLD, BLOCK, REJECT) or none."
  type        = string
  default     = "stopped"

  validation {
    condition     = contains(["all", "stopped", "none"], var.publish_decisions)
    error_message = "publish_decisions must be all, stopped or none."
  }
}

variable "score_concurrency" {
  description = "Requests that one instance of the score function handles at a time; they share one batch. It is below PIX_QUEUE_MAX, so an instance never sees more: Cloud Run sends the excess to another instance, or answers 429 itself where there is none. The function's own 429 is for requests that waited PIX_QUEUE_SECONDS, or for deployments without a limit on requests."
  type        = number
  default     = 250
}

variable "score_cpu" {
  description = "CPUs of an instance of the score function, which computes on a single one."
  type        = string
  default     = "1"
}

variable "score_instances" {
  description = "Minimum and maximum number of instances of the score function."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 50 }
}

variable "score_memory" {
  description = "Memory of an instance of the score function, which holds up to three models."
  type        = string
  default     = "1Gi"
}

variable "settings" {
  description = "Overrides of the defaults in shared/settings.py, by environment variable."
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
      "PIX_BEHIND_DAYS",
      "PIX_DEADLINE_SECONDS",
      "PIX_DECIDE_SECONDS",
      "PIX_DRAIN_SECONDS",
      "PIX_LATE_OUTCOME_SECONDS",
      "PIX_LOG_SECONDS",
      "PIX_LOOKUP_SECONDS",
      "PIX_OIDC_ACCOUNTS",
      "PIX_OIDC_AUDIENCE",
      "PIX_POINTER_TTL_SECONDS",
      "PIX_QUEUE_MAX",
      "PIX_QUEUE_SECONDS",
      "PIX_START_SECONDS",
      "PIX_STATE_CALL_SECONDS",
      "PIX_STATE_CLAIM_SECONDS",
      "PIX_STATE_CONNECT_SECONDS",
      "PIX_STATE_MESSAGE_DAYS",
      "PIX_STATE_PAUSE_SECONDS",
      "PIX_STATE_RECORD_DAYS",
    ])) == 0
    error_message = "Only the settings listed in variables-functions.tf can be overridden; the others follow from resources."
  }
}

variable "unreviewed_holds" {
  description = "What becomes of a hold that nobody reviewed by its deadline (PIX_UNREVIEWED_HOLDS): release or refuse. A block is always released."
  type        = string
  default     = "refuse"

  validation {
    condition     = contains(["release", "refuse"], var.unreviewed_holds)
    error_message = "unreviewed_holds must be release or refuse."
  }
}

variable "worker_instances" {
  description = "Workers of each function with feed = pull. Cloud Run does not scale a pool by its backlog; python -m infra.capacity has the number for a volume."
  type        = object({ label = number, outcome = number, score = number })
  default     = { label = 1, outcome = 1, score = 2 }
}

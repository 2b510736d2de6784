variable "ack_deadline_seconds" {
  description = "Time that Pub/Sub waits for the answer to a push before it redelivers (s)."
  type        = number
  default     = 60

  validation {
    condition     = var.ack_deadline_seconds >= 10 && var.ack_deadline_seconds <= 600
    error_message = "Pub/Sub accepts 10 to 600 seconds."
  }
}

variable "analysts" {
  description = "Members, such as group:fraud@example.com, that may query the dataset. It holds pseudonyms, not names."
  type        = list(string)
  default     = []
}

variable "billing_account" {
  description = "Billing account for a budget; null makes no budget."
  type        = string
  default     = null
}

variable "budget_amount" {
  description = "Monthly budget, in budget_currency."
  type        = number
  default     = 5000
}

variable "budget_currency" {
  description = "Currency of the billing account."
  type        = string
  default     = "BRL"
}

variable "dead_letter_retention" {
  description = "Time that dead letters are kept for a person to inspect; they hold personal data in clear."
  type        = string
  default     = "1209600s"
}

variable "deletion_protection" {
  description = "Refuse to destroy anything that holds data or serves. Set to false only where the environment may be destroyed."
  type        = bool
  default     = true
}

variable "environment" {
  description = "Name of the environment, and a label on every resource."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "feedback_delivery_attempts" {
  description = "Deliveries of a report before it becomes a dead letter. The default is high because no other message repeats a report."
  type        = number
  default     = 100

  validation {
    condition     = var.feedback_delivery_attempts >= 5 && var.feedback_delivery_attempts <= 100
    error_message = "Pub/Sub accepts 5 to 100 attempts."
  }
}

variable "hmac_key_next_version" {
  description = "Version of the key of the pseudonyms that is to follow, one more than hmac_key_version: rows then carry the pseudonyms under both. null unless the key is being changed (infra/README.md)."
  type        = number
  default     = null

  validation {
    condition     = var.hmac_key_next_version == null || try(var.hmac_key_next_version == var.hmac_key_version + 1, false)
    error_message = "hmac_key_next_version must be hmac_key_version + 1, or null."
  }
}

variable "hmac_key_version" {
  description = "Version of the key of the pseudonyms. A version that was not the next one before is a new key, with which all history restarts."
  type        = number
  default     = 1
}

variable "kms_key" {
  description = "Cloud KMS key that encrypts everything stored; null uses Google's keys. The service agents of Pub/Sub, BigQuery, Storage, Run, Secret Manager, Artifact Registry, Cloud SQL and Memorystore must be allowed to use it, as bootstrap does with make_kms_key."
  type        = string
  default     = null
}

variable "labels" {
  description = "Labels on every resource that takes labels, in addition to application and environment."
  type        = map(string)
  default     = {}
}

variable "maturity_days" {
  description = "Days after which a Pix without a report counts as legitimate: 80 to report, 7 to analyse."
  type        = number
  default     = 87
}

variable "maximum_backoff_seconds" {
  description = "Longest pause between two deliveries of a message (s)."
  type        = number
  default     = 600

  validation {
    condition     = var.maximum_backoff_seconds >= 10 && var.maximum_backoff_seconds <= 600
    error_message = "Pub/Sub accepts 10 to 600 seconds."
  }
}

variable "model_key_versions" {
  description = "Versions of the key that signs models, as numbers: functions and jobs believe all of them, and the last signs. More than one while the key is changed."
  type        = list(number)
  default     = [1]

  validation {
    condition     = length(var.model_key_versions) > 0 && length(distinct(var.model_key_versions)) == length(var.model_key_versions)
    error_message = "model_key_versions must name at least one version, and none twice."
  }
}

variable "noncurrent_version_days" {
  description = "Days that overwritten and deleted objects of a versioned bucket can be restored from a noncurrent version."
  type        = number
  default     = 30
}

variable "outcomes_delivery_attempts" {
  description = "Deliveries of an outcome before it becomes a dead letter. The default is high because no other message repeats an outcome."
  type        = number
  default     = 100

  validation {
    condition     = var.outcomes_delivery_attempts >= 5 && var.outcomes_delivery_attempts <= 100
    error_message = "Pub/Sub accepts 5 to 100 attempts."
  }
}

variable "partition_expiry_days" {
  description = "Days before the rows of a table expire, by table; the rows of other tables never expire."
  type        = map(number)
  default = {
    feedback        = 1825
    fills           = 1825
    late_outcomes   = 365
    outcomes        = 1825
    quarantine      = 180
    reviews         = 1825
    score_events    = 1825
    training_sample = 1825
  }

  validation {
    condition     = alltrue([for table, days in var.partition_expiry_days : days > 180 if table != "quarantine"])
    error_message = "History and training need rows older than 180 days."
  }
}

variable "project_id" {
  description = "Project of this environment."
  type        = string
}

variable "publish_in_region_only" {
  description = "Refuse messages published through another region; publishers must then use the endpoint of this region. Messages are stored only in this region in either case."
  type        = bool
  default     = false
}

variable "publishers" {
  description = "Members that may publish, by topic, such as { pix-transactions = [\"serviceAccount:...\"] }."
  type        = map(list(string))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.publishers), ["pix-feedback", "pix-outcomes", "pix-transactions"])) == 0
    error_message = "publishers may name only the topics pix-transactions, pix-outcomes and pix-feedback."
  }

  validation {
    condition     = !anytrue([for member in flatten(values(var.publishers)) : contains(["allUsers", "allAuthenticatedUsers"], member)])
    error_message = "No topic may be public: remove allUsers and allAuthenticatedUsers."
  }
}

variable "region" {
  description = "Region of every resource and of all stored data."
  type        = string
  default     = "southamerica-east1"
}

variable "snapshot_retention_days" {
  description = "Days that a snapshot of training data is kept, so that a model can be trained again on the same rows."
  type        = number
  default     = 365
}

variable "soft_delete_days" {
  description = "Days that a deleted object or bucket can be restored by soft delete."
  type        = number
  default     = 7
}

variable "state_shards" {
  description = "Shards of history, each on one primary of a cluster; 1 for no cluster. Another number replaces the store, and history starts anew."
  type        = number
  default     = 1

  validation {
    condition     = var.state_shards >= 1 && var.state_shards <= 64
    error_message = "A place in history has room for 64 shards."
  }
}

variable "subnet_cidr" {
  description = "Address range of functions and jobs. Each instance takes one address, and two during its replacement."
  type        = string
  default     = "10.64.0.0/22"
}

variable "topic_retention" {
  description = "Time that a topic keeps messages for a new subscription to replay, such as \"86400s\"; null keeps none, because they hold personal data in clear."
  type        = string
  default     = null
}

variable "transactions_delivery_attempts" {
  description = "Deliveries of a transaction before it becomes a dead letter: 50 take about seven hours."
  type        = number
  default     = 50

  validation {
    condition     = var.transactions_delivery_attempts >= 5 && var.transactions_delivery_attempts <= 100
    error_message = "Pub/Sub accepts 5 to 100 attempts."
  }
}

variable "valkey_backup_days" {
  description = "Days that daily backups of Valkey are kept. They hold counters under hashes of pseudonyms, also of persons erased since."
  type        = number
  default     = 7

  validation {
    condition     = var.valkey_backup_days >= 1 && var.valkey_backup_days <= 365
    error_message = "Memorystore keeps backups for 1 to 365 days."
  }
}

variable "valkey_engine_version" {
  description = "Engine version of Valkey."
  type        = string
  default     = "VALKEY_8_0"
}

variable "valkey_iam" {
  description = "Let only accounts with a grant into Valkey, by tokens of IAM. The choice is made with the store: a change replaces it."
  type        = bool
  default     = false
}

variable "valkey_node_type" {
  description = "Node type of Valkey."
  type        = string
  default     = "STANDARD_SMALL"
}

variable "valkey_primaries" {
  description = "Primaries of the cluster, which share the shards of history; more can be added while it serves."
  type        = number
  default     = 1
}

variable "valkey_replicas" {
  description = "Replicas of each primary. Without one, history is unavailable during a replacement of the primary."
  type        = number
  default     = 1
}

variable "valkey_subnet_cidr" {
  description = "Address range of Valkey's endpoints, of which an instance has two. Only the firewall's tag leads there."
  type        = string
  default     = "10.64.4.0/28"
}

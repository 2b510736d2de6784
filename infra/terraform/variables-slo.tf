variable "slo_availability" {
  description = "Objective: least share of the deliveries of Pix that are acknowledged."
  type        = number
  default     = 0.999

  validation {
    condition     = alltrue([for goal in [var.slo_availability, var.slo_decision_time, var.slo_freshness] : goal >= 0.9 && goal < 1])
    error_message = "An objective is at least 0.9 and less than 1."
  }
}

variable "slo_decision_seconds" {
  description = "Time within which a Pix is decided in time, from its message to its stored row (s): a bound of the metric's buckets."
  type        = number
  default     = 1

  validation {
    condition     = contains([0.1, 0.25, 0.5, 1, 2.5, 5], var.slo_decision_seconds)
    error_message = "slo_decision_seconds must be 0.1, 0.25, 0.5, 1, 2.5 or 5."
  }
}

variable "slo_decision_time" {
  description = "Objective: least share of Pix that are decided within slo_decision_seconds."
  type        = number
  default     = 0.99
}

variable "slo_freshness" {
  description = "Objective: least share of time in which no model older than slo_model_days serves."
  type        = number
  default     = 0.99
}

variable "slo_model_days" {
  description = "Age from which a model that serves is stale (days)."
  type        = number
  default     = 45
}

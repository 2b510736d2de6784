variable "alert_days_without_retraining" {
  description = "Days without a training, or a reason not to train, before an alert."
  type        = number
  default     = 2
}

variable "alert_days_without_swap" {
  description = "Days that one model may serve before an alert."
  type        = number
  default     = 45
}

variable "alert_degraded_share" {
  description = "Largest share of Pix decided without model or history, and of failed calls to the history store, before an alert."
  type        = number
  default     = 0.001
}

variable "alert_emails" {
  description = "Addresses that receive alerts."
  type        = list(string)
  default     = []
}

variable "alert_history_cpu" {
  description = "Largest share of the processor of Valkey's busiest node in use before an alert."
  type        = number
  default     = 0.7
}

variable "alert_history_memory" {
  description = "Largest share of Valkey's memory in use before an alert."
  type        = number
  default     = 0.8
}

variable "alert_late_share" {
  description = "Largest share of the Pix of the last 30 minutes scored after their deadline before an alert."
  type        = number
  default     = 0.001
}

variable "alert_oldest_unacked_seconds" {
  description = "Largest age of the oldest Pix waiting for its score before an alert (s)."
  type        = number
  default     = 120
}

variable "alert_push_p99_seconds" {
  description = "Largest 99th percentile of the time that a function takes to answer a push before an alert (s)."
  type        = number
  default     = 2
}

variable "alert_quarantined" {
  description = "Most messages quarantined in 30 minutes before an alert."
  type        = number
  default     = 20
}

variable "alert_reject_share" {
  description = "Largest share of good customers, by the scores of a day, that a model rejects by itself before Prometheus alerts: reject_share_max in jobs/config.yaml."
  type        = number
  default     = 0.002
}

variable "alert_silent_seconds" {
  description = "Time without any published Pix before an alert (s), a multiple of 60; null raises none."
  type        = number
  default     = 900

  validation {
    condition     = var.alert_silent_seconds == null || try(var.alert_silent_seconds >= 120 && var.alert_silent_seconds <= 84600 && var.alert_silent_seconds % 60 == 0, false)
    error_message = "alert_silent_seconds is a multiple of 60 from 120 to 84600."
  }
}

variable "alert_total_p99_seconds" {
  description = "Largest 99th percentile of the time from a message's body to its stored row, as the functions measure it, before an alert (s)."
  type        = number
  default     = 1
}

variable "alert_waiting_seconds" {
  description = "Largest age of the oldest waiting outcome or report before an alert (s). One that overtakes its Pix waits for seconds."
  type        = number
  default     = 600
}

variable "alert_without_outcome_share" {
  description = "Largest share of the approved Pix of a time without an outcome, half an hour after it, before an alert."
  type        = number
  default     = 0.01
}

variable "notification_channels" {
  description = "Existing channels of Cloud Monitoring that receive alerts too."
  type        = list(string)
  default     = []
}

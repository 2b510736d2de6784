variable "billing_account" {
  description = "Billing account in which the deployment may make a budget; null gives no such right. Granting it takes an administrator of the account."
  type        = string
  default     = null
}

variable "environment" {
  description = "Name of the environment, and a label on every resource."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "image_readers" {
  description = "Members that may read images: in staging, the deployment account of production, which must exist before."
  type        = list(string)
  default     = []
}

variable "image_retention_days" {
  description = "Days before an image is deleted, unless it is among the newest."
  type        = number
  default     = 90
}

variable "kms_key" {
  description = "Cloud KMS key that encrypts images; null uses Google's keys. The service agent of Artifact Registry must be allowed to use it."
  type        = string
  default     = null
}

variable "project_id" {
  description = "Project of this environment."
  type        = string
}

variable "region" {
  description = "Region of every resource and of all stored data."
  type        = string
  default     = "southamerica-east1"
}

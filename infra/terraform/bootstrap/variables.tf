variable "billing_account" {
  description = "Billing account in which the deployment may make a budget; null: none. To give that right takes an administrator of the account."
  type        = string
  default     = null
}

variable "environment" {
  description = "Name of the environment; a label of everything."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "An environment is staging or production."
  }
}

variable "image_readers" {
  description = "Members that may read images: in staging, the account that deploys to production, which bootstrap has made there before."
  type        = list(string)
  default     = []
}

variable "image_retention_days" {
  description = "Days after which images are deleted, but for the newest."
  type        = number
  default     = 90
}

variable "kms_key" {
  description = "Key of Cloud KMS that images are encrypted with; null leaves that to Google's keys. The service agent of Artifact Registry must be allowed to use it."
  type        = string
  default     = null
}

variable "project_id" {
  description = "Project of this environment."
  type        = string
}

variable "region" {
  description = "Region of everything, also of what is stored."
  type        = string
  default     = "southamerica-east1"
}

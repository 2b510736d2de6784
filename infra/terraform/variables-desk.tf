variable "desk_domain" {
  description = "Domain of the case desk, whose address record names the output desk; null for no desk."
  type        = string
  default     = null
}

variable "desk_image" {
  description = "Image of the case desk, by digest. The pipeline sets it, whether or not there is a desk."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.desk_image))
    error_message = "Name the image of the desk by its digest, so that the tested image is the one that runs."
  }
}

variable "desk_max_instances" {
  description = "Maximum number of instances of the case desk; their locks are in Valkey."
  type        = number
  default     = 3
}

variable "desk_roles" {
  description = "Roles of users of the case desk, as in PIX_DESK_ROLES: ana@my-bank.example=analyst,*@risk.my-bank.example=risk."
  type        = string
  default     = ""
}

variable "desk_settings" {
  description = "Overrides of the defaults in shared/desk/settings.py, by environment variable."
  type        = map(string)
  default     = {}

  validation {
    condition = length(setsubtract(keys(var.desk_settings), [
      "PIX_DESK_AGREEMENT_BRL",
      "PIX_DESK_LOCK_SECONDS",
      "PIX_DESK_REFRESH_SECONDS",
      "PIX_DESK_REVIEWS_PER_DAY",
      "PIX_DESK_REVIEW_CONTACT",
      "PIX_DESK_SECOND_DAYS",
      "PIX_DESK_SECOND_SHARE",
    ])) == 0
    error_message = "Only the settings listed in variables-desk.tf can be overridden; the others follow from resources."
  }
}

variable "desk_users" {
  description = "Members, such as group:fraud-desk@example.com, that IAP lets in to the case desk."
  type        = list(string)
  default     = []
}

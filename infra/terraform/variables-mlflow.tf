variable "mlflow_database_availability" {
  description = "ZONAL or REGIONAL. Serving does not need MLflow; a retraining does."
  type        = string
  default     = "ZONAL"
}

variable "mlflow_database_tier" {
  description = "Machine type of MLflow's database."
  type        = string
  default     = "db-custom-1-3840"
}

variable "mlflow_ingress" {
  description = "Networks that can reach MLflow. INGRESS_TRAFFIC_ALL lets mlflow_users connect by `gcloud run services proxy`; Cloud Run checks the caller in any case."
  type        = string
  default     = "INGRESS_TRAFFIC_INTERNAL_ONLY"
}

variable "mlflow_max_instances" {
  description = "Maximum number of instances of MLflow."
  type        = number
  default     = 2
}

variable "mlflow_password_version" {
  description = "Increment to make a new password for MLflow in its database."
  type        = number
  default     = 1
}

variable "mlflow_users" {
  description = "Members, such as group:fraud@example.com, that may use MLflow."
  type        = list(string)
  default     = []
}

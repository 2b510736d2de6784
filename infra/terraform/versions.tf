# Versions are exact: tests/infra holds every attribute in this folder to the schema of this version of the provider.
# Write-only attributes and ephemeral resources, which keep secrets out of the state, need Terraform 1.11.
terraform {
  required_version = ">= 1.11"

  # One state for each environment: terraform init -backend-config=environments/staging.gcs.tfbackend
  backend "gcs" {}

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.50.0"
    }
    random = {
      source  = "hashicorp/random"
      version = "3.7.2"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  # Budgets belong to the billing account; their API is then called on behalf of this project.
  billing_project       = var.project_id
  user_project_override = true

  default_labels = merge({ application = "pix-fraud", environment = var.environment }, var.labels)
}

# Versions are exact, because tests/infra checks every attribute in this folder against the schema of this version of
# the provider. Write-only attributes and ephemeral resources, which keep secrets out of the state, need Terraform
# 1.11.
terraform {
  required_version = ">= 1.11"

  # Each environment has its own state: terraform init -backend-config=environments/staging.gcs.tfbackend
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

  # Budgets belong to the billing account, so this project is named as the one that calls their API.
  billing_project       = var.project_id
  user_project_override = true

  default_labels = merge({ application = "pix-fraud", environment = var.environment }, var.labels)
}

# Prerequisites of the pipeline: APIs, the registry of the images, all accounts, and the keys that sign. An owner of the
# project applies them by hand (infra/README.md). The pipeline applies everything else, from the folder above.
terraform {
  required_version = ">= 1.11"

  # In a bucket of its own, which the deployment cannot write (deploy.tf):
  # terraform init -reconfigure -backend-config=bucket=my-bank-pix-staging-pix-bootstrap
  backend "gcs" {}

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "6.50.0"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region

  # Grants on the billing account name this project as the one that calls the API.
  billing_project       = var.project_id
  user_project_override = true

  default_labels = { application = "pix-fraud", environment = var.environment }
}

# What has to be there before the pipeline can run, applied by hand by an owner of the project (infra/README.md): what
# may be asked of Google, a place for images, and the account that deploys. The rest is the pipeline's, in the folder above.
terraform {
  required_version = ">= 1.11"

  # Beside the environment's own state: terraform init -reconfigure -backend-config=../environments/staging.gcs.tfbackend
  # -backend-config=prefix=bootstrap
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

  # What belongs to the billing account is asked for on behalf of this project.
  billing_project       = var.project_id
  user_project_override = true

  default_labels = { application = "pix-fraud", environment = var.environment }
}

output "deploy_account" {
  description = "Address of the account of Cloud Build in a deployment."
  value       = google_service_account.deploy.email
}

output "github_account" {
  description = "Variable SERVICE_ACCOUNT of the GitHub environment."
  value       = one(google_service_account.github[*].email)
}

output "github_provider" {
  description = "Variable WORKLOAD_IDENTITY_PROVIDER of the GitHub environment."
  value       = one(google_iam_workload_identity_pool_provider.github[*].name)
}

output "kms_key" {
  description = "Variable kms_key of the environment; null without a key."
  value       = local.kms_key
}

output "registry" {
  description = "Registry of the images."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

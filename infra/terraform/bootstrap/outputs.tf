output "deploy_account" {
  description = "Address of the account by which Cloud Build deploys."
  value       = google_service_account.deploy.email
}

output "registry" {
  description = "Where images are pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

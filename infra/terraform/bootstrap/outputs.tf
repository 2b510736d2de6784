output "deploy_account" {
  description = "Address of the account of Cloud Build in a deployment."
  value       = google_service_account.deploy.email
}

output "registry" {
  description = "Registry of the images."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.images.repository_id}"
}

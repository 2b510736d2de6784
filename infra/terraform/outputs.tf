output "buckets" {
  description = "Names of the buckets, by purpose."
  value       = { for name, bucket in google_storage_bucket.buckets : name => bucket.name }
}

output "dashboard" {
  description = "Id of the dashboard."
  value       = google_monitoring_dashboard.pix.id
}

output "dataset" {
  description = "Dataset, as project.dataset."
  value       = local.dataset
}

output "dead_letter_subscriptions" {
  description = "Subscriptions that hold dead letters, by topic."
  value       = { for topic, subscription in google_pubsub_subscription.dead : topic => subscription.name }
}

output "desk" {
  description = "IP address of the case desk, for the record of its domain; null without one."
  value       = one(google_compute_global_address.desk[*].address)
}

output "functions" {
  description = "Names and addresses of the functions."
  value       = { for name, function in google_cloud_run_v2_service.functions : name => { name = function.name, uri = function.uri } }
}

output "jobs" {
  description = "Names of the jobs; people start `operate` and, with the key, `replay`."
  value       = { for name, job in google_cloud_run_v2_job.jobs : name => job.name }
}

output "mlflow" {
  description = "Address of MLflow."
  value       = google_cloud_run_v2_service.mlflow.uri
}

output "service_accounts" {
  description = "Addresses of the accounts, by part."
  value       = { for part, account in local.accounts : part => account.email }
}

output "state_url" {
  description = "Address of the history store in the format of PIX_STATE, reachable only from the network."
  value       = local.state_url
}

output "topics" {
  description = "Ids of the topics to publish to."
  value       = { for name, topic in google_pubsub_topic.topics : name => topic.id }
}

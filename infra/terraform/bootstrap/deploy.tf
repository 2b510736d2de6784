# The account by which Cloud Build deploys, and what it may do: for each role, what needs it. It is neither owner nor
# editor, and on the project it can give nobody, itself included, more than the few roles that parts have there. It can
# act as whatever it deploys, so who may change what it builds from, or approve a tag, is who may do that.

locals {
  deploy_roles = {
    "roles/bigquery.admin"                           = "dataset, tables, views, their rights, and the queries on a schedule"
    "roles/cloudbuild.builds.editor"                 = "triggers; whether the build that holds the lock still runs"
    "roles/cloudbuild.connectionViewer"              = "the repository that triggers name"
    "roles/cloudscheduler.admin"                     = "schedules"
    "roles/cloudsql.admin"                           = "MLflow's database"
    "roles/compute.networkAdmin"                     = "network, subnet, addresses, and the peering with Cloud SQL"
    "roles/compute.securityAdmin"                    = "the firewall"
    "roles/iam.serviceAccountAdmin"                  = "the accounts of the parts, and who may speak for them"
    "roles/iam.serviceAccountUser"                   = "to let what it makes run as these accounts"
    "roles/logging.configWriter"                     = "metrics made of logs"
    "roles/logging.logWriter"                        = "the logs of a build"
    "roles/memorystore.admin"                        = "Valkey"
    "roles/monitoring.editor"                        = "alerts, channels and the dashboard"
    "roles/networkconnectivity.consumerNetworkAdmin" = "the policy by which Valkey gets endpoints"
    "roles/ondemandscanning.admin"                   = "scans of images"
    "roles/pubsub.admin"                             = "topics, subscriptions, their rights; the Pix of the smoke test"
    "roles/run.admin"                                = "functions, jobs, MLflow, who may call them; traffic"
    "roles/secretmanager.admin"                      = "secrets and who may read them"
    "roles/serviceusage.serviceUsageConsumer"        = "calls on behalf of the project"
    "roles/storage.admin"                            = "buckets and their rights; state, lock and variables of the environment"
  }

  # What the configuration above this folder grants on the project, and so all that the deployment may grant there.
  granted_on_project = ["roles/bigquery.jobUser", "roles/logging.logWriter", "roles/telemetry.metricsWriter"]
}

resource "google_service_account" "deploy" {
  account_id   = "pix-deploy"
  display_name = "pix-deploy"
  description  = "By which Cloud Build deploys"
  depends_on   = [google_project_service.apis]
}

resource "google_project_iam_member" "deploy" {
  #checkov:skip=CKV_GCP_41:the accounts that services run as are made by the deployment itself, so there is no smaller place to grant this on
  #checkov:skip=CKV_GCP_49:it makes the accounts of the parts and says who may speak for them; a deployment can be whatever it deploys
  for_each = local.deploy_roles

  project = var.project_id
  role    = each.key
  member  = google_service_account.deploy.member
}

resource "google_project_iam_member" "deploy_grants" {
  project = var.project_id
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.deploy.member

  condition {
    title       = "only-what-parts-have"
    description = "It may give and take these roles and no other"
    expression  = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(${jsonencode(local.granted_on_project)})"
  }
}

resource "google_billing_account_iam_member" "deploy" {
  count = var.billing_account == null ? 0 : 1

  billing_account_id = var.billing_account
  role               = "roles/billing.costsManager" # budgets
  member             = google_service_account.deploy.member
}

# What the Storage Write API asks for, for the parts that append. It is here so that the deployment cannot change roles.
resource "google_project_iam_custom_role" "append" {
  role_id     = "pixAppend"
  title       = "Append rows to a table of BigQuery"
  description = "What the Storage Write API asks for on its default stream"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]
  depends_on  = [google_project_service.apis]
}

# The account of Cloud Build in a deployment, which runs no test, builds, pushes and attests no image and starts no build, and
# the reason for each of its roles. It is neither owner nor editor. On the project it can grant, to itself or anybody else,
# only the few roles that the parts have there. It cannot change an account, a key that signs, or what bootstrap keeps. It runs
# parts as their accounts (accounts.tf), so whoever may change the repository or approve a tag decides about the code that has
# their rights.

locals {
  deploy_roles = {
    "roles/bigquery.admin"                           = "dataset, tables, views, their rights, and scheduled queries"
    "roles/cloudbuild.builds.viewer"                 = "the status of the build that holds the lock, and of the one that attests"
    "roles/cloudscheduler.admin"                     = "schedules"
    "roles/cloudsql.admin"                           = "MLflow's database"
    "roles/compute.loadBalancerAdmin"                = "the load balancer of the case desk"
    "roles/compute.networkAdmin"                     = "network, subnet, addresses, and the peering with Cloud SQL"
    "roles/compute.securityAdmin"                    = "the firewall"
    "roles/containeranalysis.occurrences.viewer"     = "the digests of images, beside which gcloud looks for how they were built"
    "roles/iap.admin"                                = "who may open the case desk"
    "roles/logging.configWriter"                     = "log-based metrics, and the exclusion of request logs"
    "roles/logging.logWriter"                        = "the logs of a build"
    "roles/memorystore.admin"                        = "Valkey"
    "roles/monitoring.editor"                        = "alerts, notification channels and the dashboard"
    "roles/networkconnectivity.consumerNetworkAdmin" = "the policy that gives Valkey its endpoints"
    "roles/pubsub.admin"                             = "topics, subscriptions and their rights, and the Pix of the smoke test"
    "roles/run.admin"                                = "functions, jobs and MLflow, their rights, and traffic"
    "roles/secretmanager.admin"                      = "secrets and their rights"
    "roles/serviceusage.serviceUsageConsumer"        = "calls on behalf of the project"
    "roles/storage.admin"                            = "buckets and their rights, and the state, lock and variables of the environment"
  }

  own_bucket = "projects/_/buckets/${var.project_id}-pix-bootstrap"

  # Roles that the configuration above this folder grants on the project: the only ones that the deployment may grant
  # there.
  granted_on_project = ["roles/bigquery.jobUser", "roles/dataproc.serverlessEditor", "roles/dataproc.worker", "roles/memorystore.dbConnectionUser", "roles/telemetry.metricsWriter"]
}

resource "google_service_account" "deploy" {
  account_id   = "pix-deploy"
  display_name = "pix-deploy"
  description  = "Account of Cloud Build in a deployment"
  depends_on   = [google_project_service.apis]
}

resource "google_project_iam_member" "deploy" {
  for_each = local.deploy_roles

  project = var.project_id
  role    = each.key
  member  = google_service_account.deploy.member

  # Bootstrap's state and variables say which rights it has.
  dynamic "condition" {
    for_each = each.key == "roles/storage.admin" ? [local.own_bucket] : []
    content {
      title       = "not-bootstrap"
      description = "Every bucket but the one of bootstrap's state"
      expression  = "resource.name != '${condition.value}' && !resource.name.startsWith('${condition.value}/')"
    }
  }
}

resource "google_project_iam_member" "deploy_grants" {
  project = var.project_id
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = google_service_account.deploy.member

  condition {
    title       = "only-roles-of-parts"
    description = "It may grant and revoke only these roles"
    expression  = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(${jsonencode(local.granted_on_project)})"
  }
}

resource "google_billing_account_iam_member" "deploy" {
  count = var.billing_account == null ? 0 : 1

  billing_account_id = var.billing_account
  role               = "roles/billing.costsManager" # budgets
  member             = google_service_account.deploy.member
}

# Permissions of the parts that append through the Storage Write API. Defined here so that the deployment needs no
# right to change roles.
resource "google_project_iam_custom_role" "append" {
  role_id     = "pixAppend"
  title       = "Append rows to a table of BigQuery"
  description = "Permissions that the default stream of the Storage Write API requires"
  permissions = ["bigquery.tables.get", "bigquery.tables.updateData"]
  depends_on  = [google_project_service.apis]
}

# Permissions of the part that removes models.
resource "google_project_iam_custom_role" "delete" {
  role_id     = "pixDelete"
  title       = "Read and delete objects"
  description = "What the retirement of models needs: no object can be created or replaced with it"
  permissions = ["storage.objects.delete", "storage.objects.get", "storage.objects.list"]
  depends_on  = [google_project_service.apis]
}

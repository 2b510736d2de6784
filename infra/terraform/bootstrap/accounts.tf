# The service account of each part. A person makes them, and lets the deployment run parts as them: with the right to change
# accounts it could let itself, or anybody else, take the tokens of one that signs models.

locals {
  signers = ["challenge", "compare", "probation", "retrain"] # the jobs that train, or move the pointer by themselves
}

resource "google_service_account" "parts" {
  for_each = yamldecode(file("${path.module}/../parts.yaml"))

  account_id   = "pix-${each.key}"
  display_name = "pix-${each.key}"
  description  = each.value
  depends_on   = [google_project_service.apis]
}

# The accounts that it runs something as, and no other one: not Google's default accounts, which may be editors, no account of
# a build, so that it starts none, and not that of the batches that people start (pix-batch). Cloud Run lets only who may act
# as an account make or change a job of it, and the jobs that sign are among them: signing.tf says what follows.
resource "google_service_account_iam_member" "deploy_runs" {
  for_each = { for part, account in google_service_account.parts : part => account.name if part != "batch" }

  service_account_id = each.value
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.deploy.member
}

# Google's agents call functions and run queries as these two. The agents are made after bootstrap, so the deployment grants
# it (../pubsub.tf, ../alerts-tables.tf).
resource "google_service_account_iam_member" "deploy_lends" {
  for_each = toset(["push", "watch"])

  service_account_id = google_service_account.parts[each.key].name
  role               = "roles/iam.serviceAccountAdmin"
  member             = google_service_account.deploy.member
}

# Cloud Scheduler starts batches of Spark as these (../spark.tf).
resource "google_service_account_iam_member" "schedule_runs" {
  for_each = toset(var.spark ? ["label", "outcome", "retrain", "score"] : [])

  service_account_id = google_service_account.parts[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.parts["schedule"].member
}

# The service accounts of a cluster of GKE (infra/kubernetes) act as those of the parts.
resource "google_service_account_iam_member" "kubernetes" {
  for_each = {
    for part in [
      "challenge", "compare", "console", "decide", "drift", "expire", "label", "monitor", "operate", "outcome", "probation",
      "repair", "replay", "retire", "retrain", "score", "skew", "snapshot"
    ] : part => part if var.kubernetes
  }

  service_account_id = google_service_account.parts[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "serviceAccount:${var.project_id}.svc.id.goog[pix/pix-${each.key}]"
}

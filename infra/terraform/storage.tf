# Buckets. They have no retention policy, because it would forbid overwriting models/current.json (the swap of a
# model) and deleting temporary files. An object deleted by mistake can be restored from a noncurrent version or by
# soft delete. Rows are the exception: they are personal data, so their deletion is final.

locals {
  buckets = {
    # Snapshots of history are named by their time; the pointer beside them stays.
    data   = { restores = false, deletes = { "batch/" = var.snapshot_retention_days, "contest/" = 400, "datasets/" = var.snapshot_retention_days, "exports/" = 2, "health/inputs/" = 400, "history/2" = 30, "loads/" = 2 } }
    mlflow = { restores = true, deletes = {} }
    models = { restores = true, deletes = {} }
  }
}

resource "google_storage_bucket" "buckets" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs record every read and write (project.tf); access logs would repeat them in another bucket
  #checkov:skip=CKV_GCP_78:every bucket but the one of rows is versioned; there, nothing of an erased person may remain
  for_each = local.buckets

  name                        = "${var.project_id}-pix-${each.key}"
  location                    = var.region
  force_destroy               = false
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  versioning {
    enabled = each.value.restores
  }

  soft_delete_policy {
    retention_duration_seconds = each.value.restores ? var.soft_delete_days * 86400 : 0
  }

  # The job that writes a temporary file deletes it; this rule deletes those that a crash left behind. Snapshots of
  # training data are personal data, although pseudonymous, so they expire too.
  dynamic "lifecycle_rule" {
    for_each = each.value.deletes
    content {
      action {
        type = "Delete"
      }

      condition {
        age            = lifecycle_rule.value
        matches_prefix = [lifecycle_rule.key]
      }
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.noncurrent_version_days
      with_state                 = "ARCHIVED"
    }
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 1
    }
  }

  dynamic "encryption" {
    for_each = var.kms_key == null ? [] : [var.kms_key]
    content {
      default_kms_key_name = encryption.value
    }
  }
}

# The retirement of bundles deletes them and can write nothing: objectUser could replace what others delete. The role
# comes from bootstrap/deploy.tf, so that the deployment cannot change it.
locals {
  delete_role = "projects/${var.project_id}/roles/pixDelete"
}

# Parts that need only one folder. They may also list the bucket: without that right Cloud Storage answers 403 instead
# of 404 for a missing object, which looks like an outage.
resource "google_storage_bucket_iam_member" "folders" {
  for_each = {
    batch_exports    = { part = "batch", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    batch_models     = { part = "batch", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    batch_results    = { part = "batch", bucket = "data", folder = "batch", role = "roles/storage.objectUser" }
    challenge_models = { part = "challenge", bucket = "models", folder = "models", role = "roles/storage.objectUser" }
    compare_contest  = { part = "compare", bucket = "data", folder = "contest", role = "roles/storage.objectUser" }
    compare_models   = { part = "compare", bucket = "models", folder = "models", role = "roles/storage.objectUser" }
    decide_models    = { part = "decide", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    drift_exports    = { part = "drift", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    drift_memory     = { part = "drift", bucket = "data", folder = "drift", role = "roles/storage.objectUser" }
    drift_models     = { part = "drift", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    expire_until     = { part = "expire", bucket = "data", folder = "expiry", role = "roles/storage.objectUser" }
    monitor_inputs   = { part = "monitor", bucket = "data", folder = "health", role = "roles/storage.objectUser" }
    monitor_models   = { part = "monitor", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    probation_models = { part = "probation", bucket = "models", folder = "models", role = "roles/storage.objectUser" }
    repair_exports   = { part = "repair", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    repair_history   = { part = "repair", bucket = "data", folder = "history", role = "roles/storage.objectViewer" }
    retire_models    = { part = "retire", bucket = "models", folder = "models", role = local.delete_role }
    score_models     = { part = "score", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    skew_exports     = { part = "skew", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    skew_history     = { part = "skew", bucket = "data", folder = "history", role = "roles/storage.objectViewer" }
    snapshot_exports = { part = "snapshot", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    snapshot_history = { part = "snapshot", bucket = "data", folder = "history", role = "roles/storage.objectUser" }
  }

  bucket = google_storage_bucket.buckets[each.value.bucket].name
  role   = each.value.role
  member = local.accounts[each.value.part].member

  condition {
    title      = "only-${each.value.folder}"
    expression = <<-CEL
      resource.type == "storage.googleapis.com/Bucket" ||
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.buckets[each.value.bucket].name}/objects/${each.value.folder}/")
    CEL
  }
}

# Parts that write models, snapshots and temporary files.
resource "google_storage_bucket_iam_member" "keepers" {
  for_each = {
    replay_data    = { part = "replay", bucket = "data" }
    retrain_data   = { part = "retrain", bucket = "data" }
    retrain_models = { part = "retrain", bucket = "models" }
  }

  bucket = google_storage_bucket.buckets[each.value.bucket].name
  role   = "roles/storage.objectUser"
  member = local.accounts[each.value.part].member
}

# MLflow's clients write artifacts directly to the bucket, because a request to Cloud Run holds at most 32 MB.
resource "google_storage_bucket_iam_member" "artifacts" {
  for_each = {
    mlflow  = "roles/storage.objectViewer"
    retrain = "roles/storage.objectUser"
  }

  bucket = google_storage_bucket.buckets["mlflow"].name
  role   = each.value
  member = local.accounts[each.key].member
}

# Buckets. No retention policy: it would forbid to overwrite models/current.json, which is how a model is swapped, and
# to clear away what passes through. What is lost by mistake comes back from a noncurrent version or by soft delete; but
# not rows, which are personal data: what is deleted of them is gone.

locals {
  buckets = {
    data   = { restores = false, deletes = { "datasets/" = var.snapshot_retention_days, "exports/" = 2, "loads/" = 2 } }
    mlflow = { restores = true, deletes = {} }
    models = { restores = true, deletes = {} }
  }
}

resource "google_storage_bucket" "buckets" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs say who read and wrote what (project.tf); access logs would say it again in a bucket of their own
  #checkov:skip=CKV_GCP_78:all but the bucket of rows are versioned; of that one nothing may be left once a person is erased
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

  # Files that pass through are deleted by who made them; this is for those that a crash left behind. Snapshots of
  # training data are personal data, if pseudonymous, and are kept for so long only.
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

# Parts that need only some of the objects. The right to list comes with it, on the bucket alone: without it Cloud Storage
# answers 403 rather than 404 where there is no object yet, which reads as an outage.
resource "google_storage_bucket_iam_member" "folders" {
  for_each = {
    drift_exports = { part = "drift", bucket = "data", folder = "exports", role = "roles/storage.objectUser" }
    drift_models  = { part = "drift", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
    retire_models = { part = "retire", bucket = "models", folder = "models", role = "roles/storage.objectUser" }
    score_models  = { part = "score", bucket = "models", folder = "models", role = "roles/storage.objectViewer" }
  }

  bucket = google_storage_bucket.buckets[each.value.bucket].name
  role   = each.value.role
  member = google_service_account.parts[each.value.part].member

  condition {
    title      = "only-${each.value.folder}"
    expression = <<-CEL
      resource.type == "storage.googleapis.com/Bucket" ||
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.buckets[each.value.bucket].name}/objects/${each.value.folder}/")
    CEL
  }
}

# Parts that keep models, snapshots and what passes through.
resource "google_storage_bucket_iam_member" "keepers" {
  for_each = {
    operate_data   = { part = "operate", bucket = "data" }
    operate_models = { part = "operate", bucket = "models" }
    retrain_data   = { part = "retrain", bucket = "data" }
    retrain_models = { part = "retrain", bucket = "models" }
  }

  bucket = google_storage_bucket.buckets[each.value.bucket].name
  role   = "roles/storage.objectUser"
  member = google_service_account.parts[each.value.part].member
}

# Clients of MLflow write artifacts here themselves: a request to Cloud Run holds 32 MB at most.
resource "google_storage_bucket_iam_member" "artifacts" {
  for_each = {
    mlflow  = "roles/storage.objectViewer"
    retrain = "roles/storage.objectUser"
  }

  bucket = google_storage_bucket.buckets["mlflow"].name
  role   = each.value
  member = google_service_account.parts[each.key].member
}

# Buckets. No retention policy: it would forbid to overwrite models/current.json, which is how a model is swapped, and
# to clear away what passes through. What is lost by mistake comes back from a noncurrent version or by soft delete.

locals {
  buckets = {
    mlflow = { deletes = {} }
    models = { deletes = { "datasets/" = var.snapshot_retention_days, "exports/" = 2, "loads/" = 2 } }
  }
}

resource "google_storage_bucket" "buckets" {
  #checkov:skip=CKV_GCP_62:Cloud Audit Logs say who read and wrote what (project.tf); access logs would say it again in a bucket of their own
  for_each = local.buckets

  name                        = "${var.project_id}-pix-${each.key}"
  location                    = var.region
  force_destroy               = false
  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.soft_delete_days * 86400
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

  depends_on = [google_project_service.apis]
}

# Parts that need only some of the objects. The right to list comes with it, on the bucket alone: without it Cloud Storage
# answers 403 rather than 404 where there is no object yet, which reads as an outage.
resource "google_storage_bucket_iam_member" "folders" {
  for_each = {
    drift_exports = { part = "drift", folder = "exports", role = "roles/storage.objectUser" }
    drift_models  = { part = "drift", folder = "models", role = "roles/storage.objectViewer" }
    retire_models = { part = "retire", folder = "models", role = "roles/storage.objectUser" }
    score_models  = { part = "score", folder = "models", role = "roles/storage.objectViewer" }
  }

  bucket = google_storage_bucket.buckets["models"].name
  role   = each.value.role
  member = google_service_account.parts[each.value.part].member

  condition {
    title      = "only-${each.value.folder}"
    expression = <<-CEL
      resource.type == "storage.googleapis.com/Bucket" ||
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.buckets["models"].name}/objects/${each.value.folder}/")
    CEL
  }
}

# Parts that keep models, snapshots and what passes through.
resource "google_storage_bucket_iam_member" "keepers" {
  for_each = toset(["operate", "retrain"])

  bucket = google_storage_bucket.buckets["models"].name
  role   = "roles/storage.objectUser"
  member = google_service_account.parts[each.key].member
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

# The streams of Spark that do the work of functions, with feed = spark (jobs/stream.py). Dataproc never starts a batch again that
# has failed or run for two weeks. So each minute Cloud Scheduler removes the batch of a stream if it has ended, which
# Dataproc refuses for one that runs, and creates it, which Dataproc refuses while there is one (spark.tf).

locals {
  stream_ca    = "streams/ca.pem"
  stream_files = [for object in google_storage_bucket_object.stream_ca : "gs://${object.bucket}/${object.name}"]

  # Tasks find the certificate in their working folder, and the driver reads the key by itself: settings of a batch are no
  # secrets.
  stream_settings = merge(
    local.settings,
    var.settings,
    { PIX_STATE = replace(local.state_url, "=${local.valkey_ca_folder}/", "=") },
    { for name, version in local.hmac_env : name => "secret://${version.secret}/versions/${version.version}" },
  )
}

# The certificate of Valkey is public.
resource "google_storage_bucket_object" "stream_ca" {
  count = local.on_spark ? 1 : 0

  bucket       = google_storage_bucket.buckets["data"].name
  name         = local.stream_ca
  content      = local.valkey_certificates
  content_type = "application/x-pem-file"
  kms_key_name = var.kms_key
}

# Offsets and plans of the streams, and that certificate.
resource "google_storage_bucket_iam_member" "streams" {
  for_each = { for part in ["label", "outcome", "score"] : part => part if local.on_spark }

  bucket = google_storage_bucket.buckets["data"].name
  role   = "roles/storage.objectUser"
  member = local.accounts[each.key].member

  condition {
    title      = "only-streams"
    expression = <<-CEL
      resource.type == "storage.googleapis.com/Bucket" ||
      resource.name.startsWith("projects/_/buckets/${google_storage_bucket.buckets["data"].name}/objects/streams/")
    CEL
  }
}

resource "google_cloud_scheduler_job" "ended_streams" {
  for_each = toset(local.streams)

  name             = "pix-spark-stream-${each.key}-ended"
  description      = "Removes the batch of a stream that has ended, so that it can start again"
  region           = var.region
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  http_target {
    http_method = "DELETE"
    uri         = "${local.spark_url}/pix-stream-${each.key}"

    oauth_token {
      service_account_email = local.accounts["schedule"].email
    }
  }

  depends_on = [google_project_iam_member.spark_schedule]
}

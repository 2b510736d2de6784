# Spark (Dataproc Serverless), from the image of jobs/Dockerfile.spark. A person submits batches of jobs.batch_score, over a
# period that one machine would take too long for: nothing runs, and nothing is paid, until then (infra/README.md). The
# schedule starts the training with retrain_engine = spark. With feed = spark, streams take the messages in place of the
# functions (spark-streams.tf).

locals {
  on_spark    = var.feed == "spark"
  streams     = local.on_spark ? keys(local.fed) : []
  spark_parts = concat(["batch"], local.streams, var.retrain_engine == "spark" ? ["retrain"] : [])
}

# The role that Dataproc requires of the account of a batch; it offers it on the project only. It holds rights on all
# objects of the project: the condition leaves those on Dataproc's own buckets.
resource "google_project_iam_member" "spark" {
  for_each = { for part in ["batch", "label", "outcome", "retrain", "score"] : part => part if contains(local.spark_parts, part) }

  project = var.project_id
  role    = "roles/dataproc.worker"
  member  = local.accounts[each.key].member

  condition {
    title      = "only-buckets-of-dataproc"
    expression = "!resource.name.startsWith('projects/_/buckets/') || resource.name.startsWith('projects/_/buckets/dataproc-')"
  }
}

# Driver and executors of a batch call each other; no other instance has their account.
resource "google_compute_firewall" "spark" {
  for_each = toset(local.spark_parts)

  name        = "pix-spark-${each.key}"
  description = "Driver and executors of a Spark batch call each other"
  network     = google_compute_network.pix.id
  direction   = "INGRESS"

  source_service_accounts = [local.accounts[each.key].email]
  target_service_accounts = [local.accounts[each.key].email]

  allow {
    protocol = "tcp"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

# Cloud Scheduler creates the batches of streams and of the training; bootstrap lets it run them as their accounts.
resource "google_project_iam_member" "spark_schedule" {
  for_each = { for part in ["schedule"] : part => part if length(local.spark_batches) > 0 }

  project = var.project_id
  role    = "roles/dataproc.serverlessEditor" # Dataproc offers it on the project only
  member  = local.accounts[each.key].member
}

locals {
  # Batches that Cloud Scheduler starts: the program in jobs/cluster with its arguments, and its longest time.
  spark_batches = merge(
    {
      for name in local.streams : format("stream-%s", name) => {
        part      = name
        program   = "submit_stream.py"
        arguments = [name, "--checkpoint", format("gs://%s/streams/%s", google_storage_bucket.buckets["data"].name, name)]
        files     = local.stream_files
        settings  = local.stream_settings
        seconds   = 1209600 # two weeks, the longest that Dataproc lets a batch run
      }
    },
    {
      for name in ["retrain"] : name => {
        part      = name
        program   = "submit_retrain.py"
        arguments = ["--trigger", "auto", "--engine", "spark"]
        files     = []
        settings = merge(local.job_settings, {
          MLFLOW_TRACKING_AUTH = "google"
          MLFLOW_TRACKING_URI  = google_cloud_run_v2_service.mlflow.uri
          PIX_IMAGE            = var.spark_image
          PIX_MODEL_SIGNER     = local.model_signer
        })
        seconds = var.retrain_timeout_seconds
      } if contains(local.spark_parts, name)
    },
  )

  # https://cloud.google.com/dataproc-serverless/docs/reference/rest/v1/projects.locations.batches
  spark_bodies = {
    for name, batch in local.spark_batches : name => {
      pysparkBatch = {
        mainPythonFileUri = format("file:///app/%s", batch.program)
        args              = batch.arguments
        fileUris          = batch.files
      }
      runtimeConfig = {
        version        = "3.0"
        containerImage = var.spark_image
        properties = merge(
          { "spark.authenticate" = "true", "spark.network.crypto.enabled" = "true" }, # a driver sends its settings to its tasks
          { for setting, value in batch.settings : format("spark.dataproc.driverEnv.%s", setting) => value },
          var.spark_properties,
        )
      }
      environmentConfig = {
        executionConfig = merge(
          {
            serviceAccount = local.accounts[batch.part].email
            subnetworkUri  = google_compute_subnetwork.pix.name
            networkTags    = contains(local.streams, batch.part) ? [local.valkey_tag] : []
            ttl            = format("%ds", batch.seconds)
          },
          var.kms_key == null ? {} : { kmsKey = var.kms_key },
        )
      }
    }
  }
  spark_url = "https://dataproc.googleapis.com/v1/projects/${var.project_id}/locations/${var.region}/batches"
}

resource "google_cloud_scheduler_job" "spark" {
  for_each = local.spark_batches

  name             = "pix-spark-${each.key}"
  description      = "Spark: ${local.accounts[each.value.part].description}"
  region           = var.region
  schedule         = each.key == "retrain" ? var.retrain_schedule : "* * * * *"
  time_zone        = "Etc/UTC"
  paused           = each.key == "retrain" && var.schedules_paused
  attempt_deadline = "60s"

  # A stream has a name of its own: Dataproc refuses a second batch of a name, so one runs at a time.
  http_target {
    http_method = "POST"
    uri         = each.key == "retrain" ? local.spark_url : "${local.spark_url}?batchId=pix-${each.key}"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode(local.spark_bodies[each.key]))

    oauth_token {
      service_account_email = local.accounts["schedule"].email
    }
  }

  depends_on = [google_project_iam_member.spark, google_project_iam_member.spark_schedule]
}

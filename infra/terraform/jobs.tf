# Cloud Run jobs, which share one image (jobs/Dockerfile), and the schedules that start them.

locals {
  jobs = {
    # It reads the pointer alone unless a test runs.
    challenge = {
      arguments = ["-m", "jobs.challenge", "--watch"]
      schedule  = var.challenge_schedule
      resources = var.challenge_resources
      timeout   = "300s"
      tracking  = false
    }
    # After jobs.monitor, which counts how the frauds of a day grow as their labels come.
    compare = {
      arguments = ["-m", "jobs.compare", "--apply"]
      schedule  = var.compare_schedule
      resources = var.drift_resources
      timeout   = "3600s"
      tracking  = true
    }
    drift = {
      arguments = ["-m", "jobs.drift"]
      schedule  = var.drift_schedule
      resources = var.drift_resources
      timeout   = "3600s"
      tracking  = false
    }

    expire = {
      arguments = ["-m", "jobs.expire"]
      schedule  = var.expire_schedule
      resources = var.expire_resources
      timeout   = "300s"
      tracking  = false
    }

    monitor = {
      arguments = ["-m", "jobs.monitor"]
      schedule  = var.monitor_schedule
      resources = var.monitor_resources
      timeout   = "3600s"
      tracking  = false
    }
    # Two jobs without a schedule, for people: gcloud run jobs execute pix-operate --args=-m,jobs.redrive,transactions
    # This one has neither the key of the pseudonyms nor a way to rows, models or history. What moves or switches a model runs
    # in pix-retrain.
    operate = {
      arguments = ["-m", "jobs.redrive", "--help"]
      schedule  = null
      resources = var.drift_resources
      timeout   = "86400s"
      tracking  = true
    }
    # Without a look that is due it reads the pointer and ends.
    probation = {
      arguments = ["-m", "jobs.probation"]
      schedule  = var.probation_schedule
      resources = var.monitor_resources
      timeout   = "600s"
      tracking  = true
    }
    # One execution at a time fills the store; another one that starts meanwhile ends at once.
    repair = {
      arguments = ["-m", "jobs.repair"]
      schedule  = var.repair_schedule
      resources = var.operate_resources
      timeout   = "86400s"
      tracking  = false
    }
    # With the key, inside the network that reaches Valkey: jobs.fill, replay, rotate.
    replay = {
      arguments = ["-m", "jobs.replay", "--help"]
      schedule  = null
      resources = var.operate_resources
      timeout   = "86400s"
      tracking  = false
    }
    retire = {
      arguments = ["-m", "jobs.retire"]
      schedule  = var.retire_schedule
      resources = var.drift_resources
      timeout   = "3600s"
      tracking  = false
    }
    retrain = {
      arguments = ["-m", "jobs.retrain", "--trigger", "auto"]
      schedule  = var.retrain_schedule
      resources = var.retrain_resources
      timeout   = "${var.retrain_timeout_seconds}s"
      tracking  = true
    }
    # After the last snapshot of a day, and before the retraining, which asks a person where no comparison stands.
    skew = {
      arguments = ["-m", "jobs.skew", "--last-days", "1", "--record"]
      schedule  = var.skew_schedule
      resources = var.operate_resources
      timeout   = "86400s" # people start it for all rows
      tracking  = false
    }
    snapshot = {
      arguments = ["-m", "jobs.snapshot"]
      schedule  = var.snapshot_schedule
      resources = var.operate_resources
      timeout   = "86400s"
      tracking  = false
    }
  }

  hmac_jobs    = ["repair", "replay", "skew", "snapshot"]
  valkey_jobs  = ["repair", "replay"]
  job_settings = merge(local.settings, { OMP_WAIT_POLICY = "passive", PIX_IMAGE = var.jobs_image }, var.settings)
}

resource "google_cloud_run_v2_job" "jobs" {
  for_each = local.jobs

  name                = "pix-${each.key}"
  location            = var.region
  deletion_protection = var.deletion_protection

  binary_authorization {
    use_default = true # the policy of bootstrap/admission.tf
  }

  template {
    task_count  = 1
    parallelism = 1

    template {
      service_account = local.accounts[each.key].email
      timeout         = each.value.timeout
      max_retries     = 0 # the schedule starts the job again, and a person should see each failure: a move to another machine is none
      encryption_key  = var.kms_key

      vpc_access {
        egress = "ALL_TRAFFIC" # MLflow accepts calls only from this network

        network_interfaces {
          network    = google_compute_network.pix.id
          subnetwork = google_compute_subnetwork.pix.id
          tags       = contains(local.valkey_jobs, each.key) ? [local.valkey_tag] : []
        }
      }

      containers {
        image   = var.jobs_image
        command = ["python"]
        args    = each.value.arguments

        resources {
          limits = {
            cpu    = each.value.resources.cpu
            memory = each.value.resources.memory
          }
        }

        dynamic "env" {
          for_each = merge(
            local.job_settings,
            each.value.tracking ? {
              MLFLOW_TRACKING_AUTH = "google" # shared/adapters/mlflow/auth.py
              MLFLOW_TRACKING_URI  = google_cloud_run_v2_service.mlflow.uri
            } : {},
            contains(local.signers, each.key) ? { PIX_MODEL_SIGNER = local.model_signer } : {},
          )
          content {
            name  = env.key
            value = env.value
          }
        }

        # They make pseudonyms (jobs.replay of events), or read history and rows under the key in force.
        dynamic "env" {
          for_each = { for name, version in local.hmac_env : name => version if contains(local.hmac_jobs, each.key) }
          content {
            name = env.key

            value_source {
              secret_key_ref {
                secret  = env.value.secret
                version = env.value.version
              }
            }
          }
        }

        dynamic "volume_mounts" {
          for_each = contains(local.valkey_jobs, each.key) ? [local.valkey_ca_folder] : []
          content {
            name       = "valkey-ca"
            mount_path = volume_mounts.value
          }
        }
      }

      dynamic "volumes" {
        for_each = contains(local.valkey_jobs, each.key) ? [google_secret_manager_secret_version.valkey_ca] : []
        content {
          name = "valkey-ca"

          secret {
            secret = volumes.value.secret

            items {
              path    = "ca.pem"
              version = volumes.value.version
            }
          }
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_secret_manager_secret_iam_member.readers]
}

resource "google_cloud_run_v2_job_iam_member" "schedule" {
  for_each = { for name, job in local.jobs : name => job if job.schedule != null }

  name     = google_cloud_run_v2_job.jobs[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.accounts["schedule"].member
}

resource "google_cloud_scheduler_job" "jobs" {
  for_each = { for name, job in local.jobs : name => job if job.schedule != null }

  name             = "pix-${each.key}"
  description      = local.accounts[each.key].description
  region           = var.region
  schedule         = each.value.schedule
  time_zone        = "Etc/UTC"
  paused           = var.schedules_paused || local.on_kubernetes || contains(keys(local.spark_batches), each.key) # started there
  attempt_deadline = "60s"

  retry_config {
    retry_count = 3
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.jobs[each.key].id}:run"

    oauth_token {
      service_account_email = local.accounts["schedule"].email
    }
  }

  depends_on = [google_cloud_run_v2_job_iam_member.schedule]
}

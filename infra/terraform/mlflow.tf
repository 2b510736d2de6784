# MLflow's tracking server, with runs and the registry in PostgreSQL and artifacts in Cloud Storage. It runs the image
# of the jobs, so that client and server have the same version. Serving does not depend on it.

resource "google_sql_database_instance" "mlflow" {
  #checkov:skip=CKV_GCP_6:connections are encrypted (ssl_mode below); a client certificate would only add a key to the password and the private network
  name                = "pix-mlflow"
  region              = var.region
  database_version    = "POSTGRES_18"
  deletion_protection = var.deletion_protection
  encryption_key_name = var.kms_key

  settings {
    tier                        = var.mlflow_database_tier
    edition                     = "ENTERPRISE"
    availability_type           = var.mlflow_database_availability
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection

    ip_configuration {
      ipv4_enabled    = false
      private_network = google_compute_network.pix.id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      point_in_time_recovery_enabled = true
      location                       = var.region
    }

    maintenance_window {
      day          = 7
      hour         = 6
      update_track = "stable"
    }

    # Log connections, lock waits and changes of tables, but no statement that holds a value.
    database_flags {
      name  = "cloudsql.enable_pgaudit"
      value = "on"
    }

    database_flags {
      name  = "log_checkpoints"
      value = "on"
    }

    database_flags {
      name  = "log_connections"
      value = "on"
    }

    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    database_flags {
      name  = "log_duration"
      value = "on"
    }

    database_flags {
      name  = "log_hostname"
      value = "on"
    }

    database_flags {
      name  = "log_lock_waits"
      value = "on"
    }

    database_flags {
      name  = "log_min_error_statement"
      value = "error"
    }

    database_flags {
      name  = "log_min_messages"
      value = "warning"
    }

    database_flags {
      name  = "log_statement"
      value = "ddl"
    }
  }

  depends_on = [google_service_networking_connection.services]
}

resource "google_sql_database" "mlflow" {
  name     = "mlflow"
  instance = google_sql_database_instance.mlflow.name
}

resource "google_sql_user" "mlflow" {
  name                = "mlflow"
  instance            = google_sql_database_instance.mlflow.name
  password_wo         = ephemeral.random_password.mlflow.result
  password_wo_version = var.mlflow_password_version
}

resource "google_cloud_run_v2_service" "mlflow" {
  name                = "pix-mlflow"
  description         = local.accounts["mlflow"].description
  location            = var.region
  ingress             = var.mlflow_ingress # every caller also needs the invoker role, see below
  deletion_protection = var.deletion_protection

  binary_authorization {
    use_default = true # the policy of bootstrap/admission.tf
  }

  template {
    service_account = local.accounts["mlflow"].email
    timeout         = "300s"
    encryption_key  = var.kms_key

    scaling {
      min_instance_count = 0
      max_instance_count = var.mlflow_max_instances
    }

    vpc_access {
      egress = "ALL_TRAFFIC"

      network_interfaces {
        network    = google_compute_network.pix.id
        subnetwork = google_compute_subnetwork.pix.id
      }
    }

    containers {
      image   = var.jobs_image
      command = ["mlflow"]
      args = [
        "server",
        "--host=0.0.0.0",
        "--port=8080",
        "--workers=2",
        "--allowed-hosts=*.run.app", # Cloud Run checks every caller before MLflow does
        "--backend-store-uri=postgresql+psycopg2://${google_sql_user.mlflow.name}@${google_sql_database_instance.mlflow.private_ip_address}/${google_sql_database.mlflow.name}",
        "--default-artifact-root=gs://${google_storage_bucket.buckets["mlflow"].name}",
        "--no-serve-artifacts",
      ]

      ports {
        container_port = 8080
      }

      resources {
        cpu_idle          = true
        startup_cpu_boost = true

        limits = {
          cpu    = "1"
          memory = "2Gi"
        }
      }

      env {
        name  = "MLFLOW_DISABLE_TELEMETRY"
        value = "true"
      }

      # libpq reads both variables, which keeps the password out of the address that MLflow logs.
      env {
        name = "PGPASSWORD"

        value_source {
          secret_key_ref {
            secret  = google_secret_manager_secret_version.mlflow_password.secret
            version = google_secret_manager_secret_version.mlflow_password.version
          }
        }
      }

      env {
        name  = "PGSSLMODE"
        value = "require"
      }

      startup_probe {
        period_seconds    = 5
        timeout_seconds   = 5
        failure_threshold = 36 # the first start creates the tables

        http_get {
          path = "/health"
        }
      }
    }
  }

  lifecycle {
    ignore_changes = [client, client_version]
  }

  depends_on = [google_secret_manager_secret_iam_member.readers]
}

resource "google_cloud_run_v2_service_iam_member" "mlflow" {
  for_each = merge(
    { for part in ["compare", "operate", "probation", "retrain"] : part => local.accounts[part].member },
    { for member in var.mlflow_users : member => member },
  )

  name     = google_cloud_run_v2_service.mlflow.name
  location = var.region
  role     = "roles/run.invoker"
  member   = each.value
}

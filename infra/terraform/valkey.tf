# Valkey, the history store that all instances of the functions share.

resource "google_memorystore_instance" "history" {
  instance_id                 = "pix-history"
  location                    = var.region
  engine_version              = var.valkey_engine_version
  node_type                   = var.valkey_node_type
  replica_count               = var.valkey_replicas
  authorization_mode          = "AUTH_DISABLED" # IAM tokens expire hourly and the client does not renew them, so access is limited by the network
  transit_encryption_mode     = "SERVER_AUTHENTICATION"
  deletion_protection_enabled = var.deletion_protection
  kms_key                     = var.kms_key

  # A micro-batch is one script over many keys of each shard of history, which is one slot and so on one primary
  # (shared/adapters/valkey/history.py).
  mode        = var.state_shards > 1 ? "CLUSTER" : "CLUSTER_DISABLED"
  shard_count = var.valkey_primaries

  lifecycle {
    precondition {
      condition     = var.valkey_primaries <= var.state_shards
      error_message = "A primary without a shard of history would be idle: valkey_primaries is at most state_shards."
    }
  }

  engine_configs = {
    maxmemory-policy = "noeviction" # an account whose record was evicted would look new
  }

  # jobs.replay can rebuild history from BigQuery, but that takes longer than a minute.
  persistence_config {
    mode = "AOF"

    aof_config {
      append_fsync = "EVERY_SEC"
    }
  }

  zone_distribution_config {
    mode = "MULTI_ZONE"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"

      start_time {
        hours = 6 # UTC; 3 a.m. in Brazil, when the fewest Pix are made
      }
    }
  }

  desired_auto_created_endpoints {
    network    = google_compute_network.pix.id
    project_id = var.project_id
  }

  depends_on = [google_network_connectivity_service_connection_policy.valkey]
}

locals {
  # Without cluster mode there are two endpoints: one of the primary, used here, and one of its replicas. A cluster has
  # one that tells where the slots are, and one of its nodes.
  valkey_primary = one([
    for connection in flatten(google_memorystore_instance.history.endpoints[*].connections) :
    connection.psc_auto_connection[0]
    if connection.psc_auto_connection[0].connection_type == (
      var.state_shards > 1 ? "CONNECTION_TYPE_DISCOVERY" : "CONNECTION_TYPE_PRIMARY"
    )
  ])
  valkey_ca_folder = "/etc/valkey"

  # Each instance has its own certificate authority, so the certificate identifies it without a host name.
  state_url = join("", [
    "${var.state_shards > 1 ? "valkeys-cluster" : "rediss"}://${local.valkey_primary.ip_address}:${local.valkey_primary.port}",
    "?ssl_ca_certs=${local.valkey_ca_folder}/ca.pem&ssl_check_hostname=false",
  ])
}

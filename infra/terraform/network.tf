# Functions and jobs reach Valkey, Cloud SQL and Google's APIs from one subnet. Without NAT and external addresses, they
# cannot send data to the Internet, and the Internet cannot reach them. Valkey has a subnet of its own, into which the
# firewall lets only those that need history.

resource "google_compute_network" "pix" {
  name                            = "pix"
  description                     = "Scoring, history and learning of Pix fraud"
  auto_create_subnetworks         = false
  delete_default_routes_on_create = false # Google's APIs are reached by the default route, without leaving Google
}

resource "google_compute_subnetwork" "pix" {
  name                     = "pix-${var.region}"
  description              = "Addresses of instances of functions and jobs"
  ip_cidr_range            = var.subnet_cidr
  network                  = google_compute_network.pix.id
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_subnetwork" "valkey" {
  name                     = "pix-valkey-${var.region}"
  description              = "Addresses of the endpoints of Valkey alone"
  ip_cidr_range            = var.valkey_subnet_cidr
  network                  = google_compute_network.pix.id
  private_ip_google_access = true

  log_config {
    aggregation_interval = "INTERVAL_10_MIN"
    flow_sampling        = 0.1
    metadata             = "INCLUDE_ALL_METADATA"
  }
}

# A network denies ingress by default; this rule makes it explicit and logs the attempts.
resource "google_compute_firewall" "nothing_comes_in" {
  name        = "pix-nothing-comes-in"
  description = "Instances of functions and jobs accept no connections"
  network     = google_compute_network.pix.id
  direction   = "INGRESS"
  priority    = 65534

  source_ranges = ["0.0.0.0/0"]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

# What reaches an endpoint of Private Service Connect is up to rules for egress, and a network allows all by default. So
# one rule closes the subnet of Valkey, and one of a higher priority opens its ports to instances with the tag.
resource "google_compute_firewall" "valkey_closed" {
  name        = "pix-valkey-closed"
  description = "Nothing reaches Valkey without the tag ${local.valkey_tag}"
  network     = google_compute_network.pix.id
  direction   = "EGRESS"
  priority    = 1000

  destination_ranges = [google_compute_subnetwork.valkey.ip_cidr_range]

  deny {
    protocol = "all"
  }

  log_config {
    metadata = "INCLUDE_ALL_METADATA"
  }
}

resource "google_compute_firewall" "valkey_open" {
  name        = "pix-valkey-open"
  description = "Instances with the tag ${local.valkey_tag} reach Valkey"
  network     = google_compute_network.pix.id
  direction   = "EGRESS"
  priority    = 900

  destination_ranges = [google_compute_subnetwork.valkey.ip_cidr_range]
  target_tags        = [local.valkey_tag]

  allow {
    protocol = "tcp"
    ports    = ["6379", "11000-13047"] # the second are the nodes of a cluster
  }
}

# Cloud SQL runs in a network of Google that is peered with ours.
resource "google_compute_global_address" "services" {
  name          = "pix-services"
  description   = "Range for Cloud SQL"
  network       = google_compute_network.pix.id
  purpose       = "VPC_PEERING"
  address_type  = "INTERNAL"
  prefix_length = 24
}

resource "google_service_networking_connection" "services" {
  network                 = google_compute_network.pix.id
  service                 = "servicenetworking.googleapis.com"
  reserved_peering_ranges = [google_compute_global_address.services.name]
}

# This policy lets Memorystore create its endpoints in their subnet.
resource "google_network_connectivity_service_connection_policy" "valkey" {
  name          = "pix-valkey"
  description   = "Lets Memorystore for Valkey create its endpoints in their subnet"
  location      = var.region
  network       = google_compute_network.pix.id
  service_class = "gcp-memorystore"

  psc_config {
    subnetworks = [google_compute_subnetwork.valkey.id]
  }
}

# A private pool of Cloud Build, with build_network: builds run in it, and reach Google's APIs inside the perimeter, once
# infra/deploy/pool.sh has named it in the files of the pipeline. Its machines have no addresses of the Internet, so
# the network leads to PyPI and the registries of the builders, or to mirrors of them.

resource "google_cloudbuild_worker_pool" "pix" {
  count = var.build_network == null ? 0 : 1

  name     = "pix"
  location = var.region

  network_config {
    peered_network = var.build_network
  }

  worker_config {
    machine_type   = "e2-highcpu-8"
    disk_size_gb   = 100
    no_external_ip = true
  }

  depends_on = [google_project_service.apis]
}

"""Run bqemulator until SIGTERM, configured by the BQEMU_* environment variables."""

from infra.local.bigquery.server import run

if __name__ == "__main__":
    run()

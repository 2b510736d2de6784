"""Where the system runs: Terraform for Google Cloud and a local cloud for one machine."""

variable "access_policy" {
  description = "Number of the organisation's access policy, in which a perimeter of VPC Service Controls is made around the project; null makes none."
  type        = string
  default     = null

  validation {
    condition     = var.access_policy == null || can(regex("^[0-9]+$", var.access_policy))
    error_message = "access_policy is the number of an access policy."
  }
}

variable "admitted_images" {
  description = "Patterns of images that may run without an attestation, for a cluster of GKE: such as the adapter of custom metrics. Nothing in Cloud Run needs one."
  type        = list(string)
  default     = []

  validation {
    condition     = !anytrue([for pattern in var.admitted_images : can(regex("^\\*", pattern))])
    error_message = "A pattern names a registry: one that begins with * would let every image run."
  }
}

variable "base_digest" {
  description = "Digest of the base image of jobs/Dockerfile, sha256:...; a new digest patches the image."
  type        = string
  default     = null

  validation {
    condition     = var.base_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.base_digest))
    error_message = "base_digest must be sha256: followed by 64 hexadecimal digits."
  }
}

variable "billing_account" {
  description = "Billing account in which the deployment may make a budget; null gives no such right. Granting it takes an administrator of the account."
  type        = string
  default     = null
}

variable "build_network" {
  description = "Network with private services access, projects/NUMBER/global/networks/NAME, that a private pool of Cloud Build is peered with; null makes no pool."
  type        = string
  default     = null
}

variable "builder" {
  description = "Builder of Google's buildpacks, by digest (gcr.io/buildpacks/builder@sha256:...), that builds the images of the functions."
  type        = string
  default     = null

  validation {
    condition     = var.builder == null || can(regex("@sha256:[0-9a-f]{64}$", var.builder))
    error_message = "Name the builder by its digest, so that a rebuild uses the same one."
  }
}

variable "environment" {
  description = "Name of the environment, and a label on every resource."
  type        = string

  validation {
    condition     = contains(["staging", "production"], var.environment)
    error_message = "environment must be staging or production."
  }
}

variable "github_repository_id" {
  description = "Number of the GitHub repository whose workflow may start the pipeline (`gh api repos/OWNER/NAME --jq .id`); null allows none."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || can(regex("^[0-9]+$", var.github_repository_id))
    error_message = "github_repository_id is a number: names of repositories can be taken over."
  }
}

variable "image_admission" {
  description = "Images that may run: attested, those that the pipeline has attested; audited, any, but the others are in the audit log."
  type        = string
  default     = "attested"

  validation {
    condition     = contains(["attested", "audited"], var.image_admission)
    error_message = "image_admission must be attested or audited."
  }
}

variable "image_key_versions" {
  description = "Versions of the key that attests images, as numbers: all are believed. SIGNED_BY in infra/deploy/names.sh is the one that signs."
  type        = list(number)
  default     = [1]

  validation {
    condition     = length(var.image_key_versions) > 0 && length(distinct(var.image_key_versions)) == length(var.image_key_versions)
    error_message = "image_key_versions must name at least one version, and none twice."
  }
}

variable "image_readers" {
  description = "Members that may read images, and whether builds have succeeded: in staging, the account pix-attest of production, which must exist before."
  type        = list(string)
  default     = []
}

variable "image_retention_days" {
  description = "Days before an image is deleted, unless it is among the newest."
  type        = number
  default     = 90
}

variable "kms_key" {
  description = "Cloud KMS key of others that encrypts images; null uses Google's keys, or the one of make_kms_key. The service agent of Artifact Registry must be allowed to use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key == null || !var.make_kms_key
    error_message = "Name a kms_key, or let one be made (make_kms_key), not both."
  }
}

variable "kms_rotation_days" {
  description = "Days after which the key that is made here gets a new version."
  type        = number
  default     = 90
}

variable "kubernetes" {
  description = "Let the service accounts of a cluster of GKE in this project act as those of the parts (infra/kubernetes). A cluster with Workload Identity must be there before."
  type        = bool
  default     = false
}

variable "make_kms_key" {
  description = "Make a key for everything stored (the output kms_key, for the variable of the same name of the environment) and let the agents of Google's services use it. They must exist before, and the choice stands from the first build on, as a registry cannot change its key."
  type        = bool
  default     = false
}

variable "model_key_protection" {
  description = "Where the key that signs models is: HSM, or SOFTWARE, which costs less. Another value makes no key anew: its versions keep what they have."
  type        = string
  default     = "HSM"

  validation {
    condition     = contains(["HSM", "SOFTWARE"], var.model_key_protection)
    error_message = "model_key_protection must be HSM or SOFTWARE."
  }
}

variable "perimeter_egress" {
  description = "Calls out of the perimeter, by a title: identities, projects (projects/NUMBER) and services. Production reads the registry and the builds of staging as pix-attest."
  type        = map(object({ identities = list(string), projects = list(string), services = list(string) }))
  default     = {}
}

variable "perimeter_enforced" {
  description = "Refuse what the perimeter forbids; false only reports it in the audit log, for the first weeks."
  type        = bool
  default     = false
}

variable "perimeter_ingress" {
  description = "Calls into the perimeter, by a title: identities and services, such as the publishers and pubsub.googleapis.com."
  type        = map(object({ identities = list(string), services = list(string) }))
  default     = {}

  validation {
    condition     = alltrue([for rule in values(var.perimeter_ingress) : length(rule.identities) > 0 && length(rule.services) > 0])
    error_message = "A rule names identities and services: without any it would let nobody, or everybody, in."
  }
}

variable "project_id" {
  description = "Project of this environment."
  type        = string
}

variable "promote_from" {
  description = "In production, the registry of staging that images are copied from, REGION-docker.pkg.dev/PROJECT/pix."
  type        = string
  default     = null
}

variable "region" {
  description = "Region of every resource and of all stored data."
  type        = string
  default     = "southamerica-east1"
}

variable "repository" {
  description = "Repository that starts the pipeline, as connected in Cloud Build: projects/.../locations/.../connections/.../repositories/...; null makes no triggers."
  type        = string
  default     = null

  validation {
    condition = var.repository == null || (
      var.environment == "production" ? var.promote_from != null : var.base_digest != null && var.builder != null && var.run_image != null
    )
    error_message = "With a repository, staging needs a base_digest, a builder and its run_image, and production needs promote_from."
  }
}

variable "require_admission" {
  description = "Let the organisation's policy refuse what Cloud Run would run without the policy of images. Whoever applies it needs roles/orgpolicy.policyAdmin."
  type        = bool
  default     = false
}

variable "run_image" {
  description = "Run image of that builder, by digest: the base of the images of the functions. `pack builder inspect` prints the tag that the builder names, and crane its digest; a new digest patches the images."
  type        = string
  default     = null

  validation {
    condition     = var.run_image == null || can(regex("@sha256:[0-9a-f]{64}$", var.run_image))
    error_message = "Name the run image by its digest, as its tag may name another base tomorrow."
  }
}

variable "spark" {
  description = "Let Cloud Scheduler start batches of Spark as the accounts of the training and of the functions that take messages; needed for feed or retrain_engine spark."
  type        = bool
  default     = false
}

variable "state_bucket" {
  description = "Bucket of the state, into which a person or GitHub's workflow uploads the source of a build; needed with github_repository_id."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || var.state_bucket != null
    error_message = "With github_repository_id, name the state_bucket."
  }
}

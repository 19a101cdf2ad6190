# An AMI with koboshi, its configuration, and the release that the channel
# points to today. The app's own unit is in its release or comes with the AMI.
# It leaves manifest.json with the AMI's id, and ami-tags.json with what is baked in,
# for aws ec2 create-tags: tags of Packer itself are set before anything is baked.
#
#   packer build -var deb=koboshi_0.2.0-1_amd64.deb -var config=koboshi.toml -var key=release.pub .

variable "deb" {
  type        = string
  description = "The package, from make package."
}

variable "config" {
  type        = string
  description = "The configuration, koboshi.toml."
}

variable "key" {
  type        = string
  description = "The public key, release.pub."
}

variable "channel" {
  type        = string
  default     = ""
  description = "Another channel than the configuration's, of those that it allows."
}

variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "instance_profile" {
  type        = string
  default     = "web"
  description = "May read the releases, as koboshi iam-policy says."
}

locals {
  stamp = formatdate("YYYYMMDD-hhmmss", timestamp())
}

source "amazon-ebs" "web" {
  region               = var.region
  instance_type        = "m7i.large"
  iam_instance_profile = var.instance_profile
  ssh_username         = "admin"
  ami_name             = "web-${local.stamp}"

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

build {
  sources = ["source.amazon-ebs.web"]

  provisioner "file" {
    source      = var.deb
    destination = "/tmp/koboshi.deb"
  }

  provisioner "file" {
    source      = var.config
    destination = "/tmp/koboshi.toml"
  }

  provisioner "file" {
    source      = var.key
    destination = "/tmp/release.pub"
  }

  provisioner "shell" {
    execute_command = "sudo sh -eu '{{ .Path }}'"
    inline = [
      "dpkg -i /tmp/koboshi.deb",
      "install -m 0644 /tmp/koboshi.toml /etc/koboshi/koboshi.toml",
      "install -m 0644 /tmp/release.pub /etc/koboshi/keys/release.pub",
      "koboshi config check",
      "koboshi install",
      "koboshi prebake --channel '${var.channel}'",
      "koboshi ami-tags --format json >/tmp/ami-tags.json",
    ]
  }

  provisioner "file" {
    direction   = "download"
    source      = "/tmp/ami-tags.json"
    destination = "ami-tags.json"
  }

  post-processor "manifest" {
    output = "manifest.json"
  }
}

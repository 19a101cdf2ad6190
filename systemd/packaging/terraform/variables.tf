variable "image" {
  type        = string
  description = "The AMI, from the Packer template."
}

variable "subnets" {
  type        = list(string)
  description = "Where the instances run."
}

variable "vpc" {
  type        = string
  description = "The VPC of the subnets. A listener of your load balancer forwards to the target group web."
}

variable "channel" {
  type        = string
  default     = "stable"
  description = "What the instances run: one of the configuration's channels."
}

variable "instance_type" {
  type    = string
  default = "m7i.large"
}

variable "min_size" {
  type    = number
  default = 2
}

variable "max_size" {
  type    = number
  default = 10
}

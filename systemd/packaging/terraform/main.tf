# A group whose instances come into service with the release that their channel
# points to, or not at all.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

resource "aws_iam_role" "web" {
  name = "web"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.amazonaws.com" }
    }]
  })
}

# koboshi iam-policy --config koboshi.toml >role-policy.json
resource "aws_iam_role_policy" "koboshi" {
  name   = "koboshi"
  role   = aws_iam_role.web.id
  policy = file("${path.module}/role-policy.json")
}

# What koboshi iam-policy adds where koboshi.toml has drain.target_groups. Their ARNs are
# known here only: a drop-in from user data can name them, koboshi.d/20-drain.toml.
resource "aws_iam_role_policy" "drain" {
  name = "drain"
  role = aws_iam_role.web.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "TargetHealth"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:DescribeTargetHealth"]
        Resource = ["*"] # AWS has no smaller scope
      },
      {
        Sid      = "Deregister"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:DeregisterTargets"]
        Resource = [aws_lb_target_group.web.arn]
      },
    ]
  })
}

resource "aws_iam_instance_profile" "web" {
  name = "web"
  role = aws_iam_role.web.name
}

# Its ARN in drain.target_groups lets an instance take itself out of it before a Spot
# interruption; at scale-in Auto Scaling does.
resource "aws_lb_target_group" "web" {
  name     = "web"
  port     = 8080
  protocol = "HTTP"
  vpc_id   = var.vpc

  # A target drains for all of it, even with nothing in flight, and the app serves
  # until then. AWS's default is 300.
  deregistration_delay = 60

  health_check {
    path = "/healthz"
  }
}

resource "aws_launch_template" "web" {
  name          = "web"
  image_id      = var.image
  instance_type = var.instance_type

  iam_instance_profile {
    arn = aws_iam_instance_profile.web.arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # IMDSv2 only
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled" # koboshi reads the tag koboshi:channel there
  }
}

resource "aws_autoscaling_group" "web" {
  name                = "web"
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnets
  target_group_arns   = [aws_lb_target_group.web.arn]
  health_check_type   = "ELB"

  # Failing checks replace no instance that has been in service for less than this.
  # The app is healthy by then: that is what the lifecycle hook below is for.
  health_check_grace_period = 30

  # A number, and only for the first instances: koboshi refresh start moves the group to
  # another version, and can roll back while the group still has the one from before.
  launch_template {
    id      = aws_launch_template.web.id
    version = aws_launch_template.web.latest_version
  }

  lifecycle {
    ignore_changes = [launch_template]
  }

  # Not in resources of their own: the first instances must have these hooks too.
  initial_lifecycle_hook {
    name                 = "koboshi-launching"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 300 # koboshi sends heartbeats until lifecycle.deadline
    default_result       = "ABANDON"
  }

  # Waits while koboshi watch drains the instance: let go by the load balancer, the app
  # stopped, its logs delivered. koboshi sends heartbeats until drain.deadline; where it
  # cannot, a terminating instance is held for this long.
  initial_lifecycle_hook {
    name                 = "koboshi-terminating"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 120
    default_result       = "CONTINUE"
  }

  # Both hooks serve a warm pool as well, on the way in, out and back: the release is
  # installed on the way in and started on the way out.
  #
  # warm_pool {
  #   pool_state = "Stopped"
  #   min_size   = 2
  #
  #   instance_reuse_policy {
  #     reuse_on_scale_in = true
  #   }
  # }

  # For all instances of the group. Where each version of the launch template names its
  # channel, so that a rollback brings back the release, leave this out: it would win.
  tag {
    key                 = "koboshi:channel"
    value               = var.channel
    propagate_at_launch = true
  }

  depends_on = [aws_iam_role_policy.koboshi]
}

# For koboshi refresh start --template, once a new image has made a new version.
output "launch_template" {
  value = "${aws_launch_template.web.id}:${aws_launch_template.web.latest_version}"
}

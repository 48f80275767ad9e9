"""What a build starts from: checkpoints, their families, and models without their zeros."""

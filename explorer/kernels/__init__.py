"""Graph kernels: how alike two architectures are, one file each."""

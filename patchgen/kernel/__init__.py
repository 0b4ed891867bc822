"""Kernels: configuration and build, in a sandbox for untrusted trees."""

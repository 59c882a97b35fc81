"""Moving model versions between installations, each as one signed file."""

"""PaDiM: Gaussians per position over the features of a pretrained network."""

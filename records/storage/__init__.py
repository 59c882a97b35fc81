"""Where files are kept: folders of this machine, or an S3-compatible store that several machines share."""

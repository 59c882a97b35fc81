"""Files: the upload gate, stored once by their content, the decoded pixels."""

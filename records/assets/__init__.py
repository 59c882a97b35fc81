"""Files: upload validation, storage once by their content, the decoded pixels."""

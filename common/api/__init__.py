"""What all views of the API share: reading requests, answering in pages, problem documents."""

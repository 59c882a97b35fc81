"""What a report says: its window, its figures as one document, and that document as page, PDF and CSV."""

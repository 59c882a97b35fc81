"""Reading folders and archives of images: which images there are, what is known of them, what is wrong."""

"""What another threshold would have done to stored scores, and putting it in force."""

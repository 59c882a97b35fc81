"""What a version passes on its way into production: approval by a second person, and gates that are figures."""

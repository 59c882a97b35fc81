"""`manage.py doctor`: checks of an installation, each with what it means and what mends it. None changes anything."""

"""The embedded size of the system: broker, web server and workers as child processes of one parent."""

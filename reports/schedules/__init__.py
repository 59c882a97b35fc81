"""Reports that are issued by themselves at the end of each shift, day, week or month, and sent by e-mail."""

"""The report of one evaluation: as a page of the running system, and as a file that a person shows to a customer.

`context`: what both say; `words`: figures as sentences; `pages` and `file`: the two forms; `pictures`: what the file
embeds, which images with their maps.
"""

"""One evaluation as a file that a person shows to a customer.

`words`: figures as sentences; `charts`: geometry; `pictures`: which images, with their maps; `page`: the whole.
"""

"""Model selection: which detector, with which options, finds synthetic defects best on held-out good images.

`candidates`: what is tried; `search`: in which order, within which time, and who wins; `comparison`: the figures;
`trials`: one candidate fitted and scored. Only the last needs torch.
"""

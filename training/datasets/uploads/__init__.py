"""Files that somebody sent from a page: kept aside, shown as what they would become, then imported or dropped."""

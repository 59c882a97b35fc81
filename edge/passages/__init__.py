"""What passed the station, as the line itself counts it, beside the records: parts that nobody inspected are named."""

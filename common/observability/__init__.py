"""Log lines with the ids of what they are about, without secrets; traces, where somebody collects them."""

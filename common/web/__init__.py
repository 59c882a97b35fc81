"""What all pages share: who may open them, charts, toasts."""

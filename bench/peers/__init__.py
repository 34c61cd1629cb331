"""Others that carry messages, each as a good user of it would write it; a README beside each states its tuning."""

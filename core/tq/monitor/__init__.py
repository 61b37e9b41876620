"""What can be known of a cluster by listening: state, rates, dumps."""

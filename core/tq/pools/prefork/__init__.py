"""Jobs in child processes: batches over one socket each, starts marked in shared memory."""

"""The application and the load that `tq demo` runs."""

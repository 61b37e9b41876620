"""Pure views of the cluster: what the screens show, as text and style names, without textual."""

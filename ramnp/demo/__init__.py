"""A page in the browser where the network looks at what you draw."""

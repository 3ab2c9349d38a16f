"""One module a group of providers; each has `JUDGES`, functions by name."""

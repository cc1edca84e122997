"""AWS for tests: moto, made as strict as AWS is, with failures that tests ask for."""

"""Raw to clean: the rules as data, and the Spark SQL that is built from them."""

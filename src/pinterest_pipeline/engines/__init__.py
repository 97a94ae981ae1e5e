"""Who runs the cleaning and the analyses: Spark SQL and files in, Arrow tables and answers out."""

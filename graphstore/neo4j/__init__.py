"""The server engine: any Neo4j 5.23 or newer, by the official driver."""

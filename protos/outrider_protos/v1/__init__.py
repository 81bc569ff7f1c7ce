"""Version 1 of the wire: the .proto file and what protoc makes of it."""

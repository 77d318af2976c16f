"""HTTP/1.1 on a connection, both sides, on llhttp (the httptools package)."""

"""HTTP/1.1 on sockets, both sides, on llhttp (the httptools package): where bytes become requests and responses, and back."""

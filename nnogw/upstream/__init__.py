"""The services behind the gateway: from a binding or URL to connections, and the treq client that the proxy uses."""

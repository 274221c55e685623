"""What the interop tests share: images, the server, client programs, a wire recorder."""

"""One HTML file that shows how safe a cache with an adapter is, and at which threshold."""

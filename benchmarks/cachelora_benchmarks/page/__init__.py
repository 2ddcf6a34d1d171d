"""From what was measured to a page that anyone can read, and to the README's few figures."""

"""The pictures of the report, one a file: each takes a record and a width in pixels and gives inline SVG."""

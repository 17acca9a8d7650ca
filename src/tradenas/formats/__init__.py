"""Networks that leave: one intermediate program, and the formats that it is written in."""

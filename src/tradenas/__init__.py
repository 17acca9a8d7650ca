"""Neural architecture search for trading time series."""

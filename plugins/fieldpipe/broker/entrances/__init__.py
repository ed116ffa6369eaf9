"""Ways in beside gRPC, for sites without a Kraken Collector."""

"""Recordings: an MCAP file -> one CSV per topic and a manifest."""

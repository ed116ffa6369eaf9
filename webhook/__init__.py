"""The Flask process that receives bucket events."""

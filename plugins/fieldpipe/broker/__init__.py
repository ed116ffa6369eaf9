"""Readings of small devices come in, are on disk before they are acknowledged, and go to every sink that wants them."""

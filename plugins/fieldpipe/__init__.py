"""Fieldpipe: data from the field to tables that people can use. The rooms are described in the README's folder map."""

__version__ = "0.1.0"

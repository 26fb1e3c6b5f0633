"""A net as readable PyTorch source: a standalone nn.Module, and its weights."""

from converters.export.source.files import write_source
from converters.export.source.loading import LoadedSource, load_source
from converters.export.source.text import Source, source_of

__all__ = ["LoadedSource", "Source", "load_source", "source_of", "write_source"]

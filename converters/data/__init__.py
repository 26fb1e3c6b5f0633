"""Caffe's data layers as sources of batches."""

from converters.data.memory import MemorySource
from converters.data.opening import open_data
from converters.data.source import BadRecordError, DataSource

__all__ = ["BadRecordError", "DataSource", "MemorySource", "open_data"]

"""Caffe's data layers as sources of batches."""

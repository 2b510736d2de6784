"""Exact reasons of a model: interventional Shapley values of its raw score, as ONNX that a function serves."""

"""Models in and out as ONNX files: `ds.onnx.export(model, path, args)`. Needs the extra `onnx`."""

from engine.onnx.export import ExportError, export

__all__ = ["ExportError", "export"]

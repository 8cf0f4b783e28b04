"""Models in and out as ONNX files: `ds.onnx.export(model, path, args)`, `ds.onnx.load(path)`. Needs the extra `onnx`."""

try:
    import onnx as _onnx  # noqa: F401
except ModuleNotFoundError as _missing:
    raise ImportError("ds.onnx needs the package onnx: pip install 'dsviz[onnx]'", name="onnx") from _missing

from engine.onnx.compared import ExportError
from engine.onnx.export import export
from engine.onnx.load import LoadError, OnnxModule, load

__all__ = ["ExportError", "LoadError", "OnnxModule", "export", "load"]

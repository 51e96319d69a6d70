"""`mlflow models serve` of the same ONNX file: saved on first use, then handed to the command."""

import os
import sys
import tempfile

import mlflow.onnx
import onnx

place = os.path.join(tempfile.mkdtemp(), "rig")
mlflow.onnx.save_model(onnx.load(os.environ["MODEL_PATH"]), place)
command = os.path.join(os.path.dirname(sys.executable), "mlflow")
arguments = ("models", "serve", "-m", place, "--env-manager", "local", "--workers", "1")
os.environ["PATH"] = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
os.execv(command, [command, *arguments, "--port", os.environ["PORT"]])

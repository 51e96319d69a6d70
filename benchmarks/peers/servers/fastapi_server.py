"""What one writes by hand first: FastAPI over onnxruntime, on uvloop and httptools."""

import os

import uvicorn
from fastapi import FastAPI
from onnx_row import predict, session
from pydantic import BaseModel

app = FastAPI()
model = session()


class Features(BaseModel):
    """One row."""

    x0: float
    x1: float
    x2: float
    x3: float
    x4: float
    x5: float
    x6: float
    x7: float
    carrier: str
    code: int = 0


class Request(BaseModel):
    """A prediction asked for."""

    features: Features


@app.post("/predict")
async def answer(request: Request) -> dict[str, float]:
    """One prediction."""
    return {"prediction": predict(model, [request.features.__dict__])[0]}


uvicorn.run(app, port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False)

"""Apply a finished run to another cohort; see configs/predict.yaml."""

from fusion.cli import predict

if __name__ == "__main__":
    predict()

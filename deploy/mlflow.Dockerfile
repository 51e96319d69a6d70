# The official MLflow server with the drivers for its Postgres and its S3 store.
FROM ghcr.io/mlflow/mlflow:v3.17.2
RUN pip install --no-cache-dir psycopg2-binary boto3

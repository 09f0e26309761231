#!/bin/sh
# Starts the tracking server of docker/compose.yaml and k8s/; further arguments go to it.
# Passwords are files, so that neither `docker inspect` nor a process list shows them.
set -eu
secrets=${SECRETS_DIR:-/run/secrets}
# libpq and MLflow read these, so that no URI holds a password.
PGPASSWORD=$(cat "$secrets/postgres_password")
MLFLOW_AUTH_ADMIN_PASSWORD=$(cat "$secrets/mlflow_admin_password")
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat "$secrets/mlflow_secret_key")
export PGPASSWORD MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
# A server that is newer than its database says so and stops; see "Upgrade" in mlflow/README.md.
exec mlflow server --app-name basic-auth --host 0.0.0.0 --port 5000 --workers 2 \
  --backend-store-uri "postgresql+psycopg://mlflow@${PGHOST:-postgres}:5432/mlflow" \
  --serve-artifacts --artifacts-destination "${ARTIFACTS:-/artifacts}" \
  --allowed-hosts "${ALLOWED_HOSTS:-mlflow:5000,mlflow,localhost:*,127.0.0.1:*}" "$@"

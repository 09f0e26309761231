# Image of the tracking server; mlflow/serve.sh holds its settings.
#   docker build -f docker/mlflow.Dockerfile -t latentprint-mlflow:3.17.2 .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off
COPY docker/constraints.txt /
# Versions are those of the constraints file; hadolint does not see them.
# hadolint ignore=DL3013,DL3042
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/venv && \
    /opt/venv/bin/pip install --no-compile 'mlflow[auth]' 'psycopg[binary]' boto3 -c /constraints.txt && \
    { /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib >/dev/null || true; }

FROM ${BASE}
ARG VERSION=3.17.2
ARG REVISION=unknown
LABEL org.opencontainers.image.title="latentprint-mlflow" \
      org.opencontainers.image.description="MLflow server with accounts, on PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=packages /opt/venv /opt/venv
COPY mlflow/serve.sh /usr/local/bin/serve
COPY mlflow/basic_auth.ini /etc/mlflow/basic_auth.ini
RUN mkdir -m 0770 /artifacts && chown 1000:0 /artifacts
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    USER=mlflow \
    PYTHONUNBUFFERED=1 \
    MLFLOW_AUTH_CONFIG_PATH=/etc/mlflow/basic_auth.ini \
    MLFLOW_DISABLE_TELEMETRY=true
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=6 \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/health', timeout=8)"]
USER 1000:0
ENTRYPOINT ["/bin/sh", "/usr/local/bin/serve"]

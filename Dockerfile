# One image, one role: a worker, which serves the API and takes its share of the chunks.

FROM python:3.11.14-slim-bookworm AS build
# A compiler, for the processors that one of the dependencies has no wheel for.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --disable-pip-version-check -c constraints.txt '.[tracing]'

FROM python:3.11.14-slim-bookworm
# The directory of the uploads exists, and is the user's, so that a volume mounted there is the user's as well.
RUN groupadd --gid 10001 bulk \
    && useradd --uid 10001 --gid bulk --no-create-home --home-dir /var/lib/bulk --shell /usr/sbin/nologin bulk \
    && install --directory --owner=bulk --group=bulk /var/lib/bulk /var/lib/bulk/uploads /var/lib/bulk/worker
COPY --from=build /opt/venv /opt/venv
# It listens for other containers, so it starts only when AUTH_MODE is set: to required, or by hand to none.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    STORAGE_URI=file:///var/lib/bulk/uploads \
    DATA_DIR=/var/lib/bulk/worker
USER 10001:10001
WORKDIR /var/lib/bulk
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.getenv('PORT') or 3000}/health\", timeout=4)"]
CMD ["faust", "-A", "app", "worker", "-l", "info"]

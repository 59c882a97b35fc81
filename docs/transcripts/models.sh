#!/usr/bin/env bash
# The transcript in docs/models.md: a version moves into an empty installation, verdicts are replayed, a run is reproduced,
# and what is said when a byte or a score is another one.
#
#   docs/transcripts/models.sh CATEGORY_FOLDER > models.txt      # a data set in any layout, with good and defective parts
#
# It makes two installations in a temporary folder. On SQLite; it needs sqlite3.
set -euo pipefail
DATA=$(realpath "$1")
NAME=$(basename "$DATA")
PYTHON=${PYTHON:-python}
FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
export LOG_LEVEL=ERROR OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
unset DATABASE_URL

chapter() { printf '\n# %s\n' "$*"; }
# manage WHERE WORDS...: in the installation `here` or `there`
manage() {
  local where=$1
  shift
  printf '%s$ manage.py %s\n' "$where" "$*" | sed "s|$FOLDER/||g; s|$DATA/||g"
  VAR_DIR=$FOLDER/$where "$PYTHON" manage.py "$@" 2>&1 | grep -vE '^ *[0-9]*% | ERROR ' | sed "s|$FOLDER/||g; s|$DATA/||g" || true
}
quietly() { manage "$@" > /dev/null; }

for where in here there; do VAR_DIR=$FOLDER/$where "$PYTHON" manage.py migrate --verbosity 0; done
quietly here train --model padim --dataset "$DATA" --backbone efficientnet_lite0 --image-size 128
mapfile -t IMAGES < <(find "$DATA" -path '*test*' -name '*.[jp][pn]g' | sort | head -40)

chapter "A version moves to another installation"
manage here export_model latest --output "$FOLDER/$NAME.zip"
manage there import_model "$FOLDER/$NAME.zip"
FINGERPRINT=$(VAR_DIR=$FOLDER/there "$PYTHON" manage.py import_model "$FOLDER/$NAME.zip" 2>&1 | grep -oE -m1 '[0-9a-f]{64}' || true)
FINGERPRINT=${FINGERPRINT:0:64}
manage there import_model "$FOLDER/$NAME.zip" --fingerprint "$FINGERPRINT"
manage here inspect --model-version latest "${IMAGES[0]}"
manage there inspect --model-version latest "${IMAGES[0]}"

chapter "One flipped byte"
"$PYTHON" - "$FOLDER/$NAME.zip" <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(2_000_000)
    byte = file.read(1)
    file.seek(2_000_000)
    file.write(bytes([byte[0] ^ 1]))
END
manage there import_model "$FOLDER/$NAME.zip" --fingerprint "$FINGERPRINT"

chapter "Verdicts are recomputed"
quietly here inspect --model-version latest "${IMAGES[@]}"
manage here replay --sample 200
sqlite3 "$FOLDER/here/db.sqlite3" "DROP TRIGGER inspection_inspection_no_update;
  UPDATE inspection_inspection SET score = score * 1.001 WHERE rowid = (SELECT max(rowid) FROM inspection_inspection)"
manage here replay --sample 200
"$PYTHON" - "$FOLDER"/here/artifacts/*/*/model.safetensors <<'END'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(1_000_000)
    byte = file.read(1)
    file.seek(1_000_000)
    file.write(bytes([byte[0] ^ 1]))
END
manage here replay --sample 200
manage here verify_artifacts

chapter "A training is done again"
quietly here train --model padim --dataset "$NAME" --backbone efficientnet_lite0 --image-size 128
manage here reproduce 2
echo "# with two threads"
OMP_NUM_THREADS=2
manage here reproduce 2

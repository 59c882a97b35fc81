#!/usr/bin/env bash
# The transcript in docs/audit.md: an inspection's life, and what becomes of it when somebody changes the past.
#
#   VAR_DIR=/tmp/life python manage.py demo --exit                              # data, a first model version
#   VAR_DIR=/tmp/life python manage.py train --dataset elpv-mono --model padim --backbone efficientnet_lite0 --image-size 128
#   VAR_DIR=/tmp/life python manage.py run --port 8137 &                        # the system
#   VAR_DIR=/tmp/life docs/transcripts/inspection_life.sh IMAGE > life.txt      # IMAGE: a picture of a good part
#
# On SQLite. It needs curl, jq and sqlite3, and it damages the records on purpose: never run it on a line.
set -euo pipefail
: "${VAR_DIR:?name the installation that may be damaged}"
export VAR_DIR LOG_LEVEL=ERROR
IMAGE=$1
ADDRESS=${ADDRESS:-http://127.0.0.1:8137}
CATEGORY=${CATEGORY:-elpv-mono}
PYTHON=${PYTHON:-python}
SAFE=$(mktemp -d)
trap 'rm -rf "$SAFE"' EXIT

chapter() { printf '\n# %s\n' "$*"; }
manage() {
  printf '$ manage.py %s\n' "${*//$SAFE/\/safe}"
  "$PYTHON" manage.py "$@" 2>&1 | sed "s|$SAFE|/safe|g" || true
}
sql() {
  printf '$ sqlite3 db.sqlite3 "%s"\n' "$1"
  sqlite3 "$VAR_DIR/db.sqlite3" "$1" 2>&1 || true
}
# call WHO METHOD PATH JQ-FILTER [what curl needs besides]; the answer stays in $ANSWER
call() {
  local who=$1 method=$2 path=$3 filter=$4 key="KEY_$1"
  shift 4
  local said=""
  for word in "$@"; do
    [[ $word == "-H" || $word == "Content-Type: application/json" ]] && continue
    [[ $word == *[\ \{\;]* ]] && word="'$word'"
    said+=" $word"
  done
  printf '%s$ curl -X %s /api/%s%s\n' "$who" "$method" "$path" "${said//$IMAGE;filename=/}"
  ANSWER=$(curl -sS -X "$method" -H "Authorization: Bearer ${!key}" "$@" "$ADDRESS/api/$path")
  jq -c "$filter" <<<"$ANSWER"
}
json() { call "$1" "$2" "$3" "$4" -H "Content-Type: application/json" -d "$5"; }
of() { jq -r "$1" <<<"$ANSWER"; }

for who in olga:engineer otto:operator audrey:auditor; do
  head -c 18 /dev/urandom | base64 |
    "$PYTHON" manage.py create_user "${who%:*}" --role "${who#*:}" --password-stdin >/dev/null 2>&1
  declare "KEY_${who%:*}=$("$PYTHON" manage.py create_token "${who%:*}" transcript 2>/dev/null)"
done
BEGAN=$(date -u +%FT%TZ)

chapter "Olga (engineer) sees what is active, and what else there is"
call olga GET "categories" ".results[] | select(.name == \"$CATEGORY\") | {name, production, model_versions}"
call olga GET "model-versions?category=$CATEGORY" '.results[] | {id, number, algorithm, stage, threshold}'
FIRST=$(of '.results[] | select(.stage == "production").id')
SECOND=$(of '[.results[] | select(.stage == "candidate").id][0]')

chapter "Otto (operator) has a part judged"
call otto POST test_image '{inspection_id, outcome, score, threshold, threshold_revision, model_version}' \
  -F "image=@$IMAGE;filename=part.png" -F lot=L-2044 -F serial_number=S-000317 -F station=east -F anomaly_map=none
INSPECTION=$(of .inspection_id)
SCORE=$(of .score)

chapter "He looks, and says otherwise"
json otto POST "inspections/$INSPECTION/reviews" '{review_id, number, verdict, agrees, defect_type, comment}' \
  '{"verdict": "defective", "defect_type": "crack", "comment": "hairline crack at the busbar, seen under the lens"}'

chapter "Would a lower threshold have caught it? Olga moves it; the record keeps the one it was judged at"
LOWER=$(jq -n "$SCORE * 0.99")
call olga GET "what-if?model_version=$FIRST&threshold=$LOWER" '{recorded, asked: (.asked | {threshold, verdicts})}'
json olga POST thresholds '{id, model_version, revision, value, method, reason}' \
  "{\"model_version\": $FIRST, \"value\": $LOWER, \"reason\": \"escape of lot L-2044\"}"
call olga GET "inspections/$INSPECTION" '{outcome, score, threshold, threshold_revision}'

chapter "Another version is tried and rolled back"
json olga POST "model-versions/$SECOND/promote" '{status, kind, model_version, reason}' '{"reason": "trial of the second version"}'
json olga POST "categories/$CATEGORY/rollback" '{status, kind, model_version, reason}' '{"reason": "rejects too many good cells"}'

chapter "The past is scored again with the other version; the results stay apart from the record"
json olga POST rescorings '{rescoring_id, status, model_version}' \
  "{\"model_version\": \"$SECOND\", \"filters\": {\"lot\": \"L-2044\"}, \"reason\": \"would it have caught the escape?\"}"
RESCORING=$(of .rescoring_id)
for _ in $(seq 120); do
  STATUS=$(curl -sS -H "Authorization: Bearer $KEY_olga" "$ADDRESS/api/rescorings/$RESCORING" | jq -r .status)
  [[ $STATUS == queued || $STATUS == running ]] || break
  sleep 1
done
call olga GET "rescorings/$RESCORING/results" ".results[] | select(.inspection_id == \"$INSPECTION\")"

chapter "Audrey (auditor) reads what happened, and keeps a checkpoint elsewhere"
call audrey GET "audit-events?since=$BEGAN&limit=40" \
  '.results | reverse[] | [.sequence, .actor, .kind, .object_type]'
manage audit_checkpoint --output "$SAFE/checkpoint.json"
"$PYTHON" manage.py audit_checkpoint --public-key >"$SAFE/public.pem" 2>/dev/null
manage verify_audit --records --checkpoint "$SAFE/checkpoint.json" --public-key "$SAFE/public.pem"
KEY=${INSPECTION//-/}

chapter "Somebody with the database changes the record: refused by the trigger"
sql "UPDATE inspection_inspection SET lot = 'L-2045' WHERE id = '$KEY'"
sql "DELETE FROM inspection_review"
sql "UPDATE records_auditevent SET actor_name = 'nobody' WHERE sequence = 2"

chapter "He takes the trigger away: the comparison of rows and events names the event"
TRIGGER=$(sqlite3 "$VAR_DIR/db.sqlite3" "SELECT sql FROM sqlite_master WHERE name = 'inspection_inspection_no_update'")
sql "DROP TRIGGER inspection_inspection_no_update; UPDATE inspection_inspection SET lot = 'L-2045' WHERE id = '$KEY'"
sqlite3 "$VAR_DIR/db.sqlite3" "$TRIGGER"
manage verify_audit
manage verify_audit --records

chapter "He changes an event: the chain names it"
TRIGGER=$(sqlite3 "$VAR_DIR/db.sqlite3" "SELECT sql FROM sqlite_master WHERE name = 'records_auditevent_no_update'")
EVENT=$(sqlite3 "$VAR_DIR/db.sqlite3" "SELECT sequence FROM records_auditevent WHERE kind = 'review.recorded' ORDER BY sequence DESC LIMIT 1")
SAID=$(sqlite3 "$VAR_DIR/db.sqlite3" "SELECT actor_name FROM records_auditevent WHERE sequence = $EVENT")
sql "DROP TRIGGER records_auditevent_no_update; UPDATE records_auditevent SET actor_name = 'nobody' WHERE sequence = $EVENT"
manage verify_audit
sqlite3 "$VAR_DIR/db.sqlite3" "UPDATE records_auditevent SET actor_name = '$SAID' WHERE sequence = $EVENT; $TRIGGER"

chapter "He removes the newest events, and the checkpoints here: only the one kept elsewhere tells"
sql "DROP TRIGGER records_auditevent_no_delete; DELETE FROM records_auditevent WHERE sequence >= $EVENT"
sql "DROP TRIGGER records_auditcheckpoint_no_delete; DELETE FROM records_auditcheckpoint WHERE sequence >= $EVENT"
manage verify_audit
manage verify_audit --checkpoint "$SAFE/checkpoint.json" --public-key "$SAFE/public.pem"

#!/bin/sh
# Makes expected/*.csv and expected-after-changes/*.csv: what dbt itself builds of this project, all of it anew each time. Needs dbt: python3 -m venv V && V/bin/pip install dbt-core==1.10.23 dbt-duckdb==1.10.1 'duckdb<2'
# Usage: make-expected.sh V/bin   (the folder with dbt and python)
set -eu
bin=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BAKERY_DUCKDB="$work/till.duckdb"
cp -r "$here/dbt" "$work/dbt"
run() {
  "$bin/python" - "$here/$1" <<'PYTHON'
import duckdb, os, sys
with duckdb.connect(os.environ["BAKERY_DUCKDB"]) as db:
    db.execute(open(sys.argv[1], encoding="utf-8").read())
PYTHON
  "$bin/dbt" build --full-refresh --project-dir "$work/dbt" --profiles-dir "$work/dbt"
  mkdir -p "$here/$2"
  "$bin/python" - "$here/$2" <<'PYTHON'
import duckdb, os, sys
with duckdb.connect(os.environ["BAKERY_DUCKDB"]) as db:
    tables = db.execute("select table_name from information_schema.tables where table_schema = 'main' order by 1").fetchall()
    for (table,) in tables:
        db.execute(f"copy (select * from main.{table} order by all) to '{sys.argv[1]}/{table}.csv' (header, nullstr 'NULL')")
PYTHON
}
run raw.sql expected
run changes.sql expected-after-changes

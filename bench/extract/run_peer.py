"""One way from Postgres to a Parquet file with a Python package: prints the figures as its last line, as measure.ts does."""

import glob
import importlib.util
import json
import os
import resource
import sys
import time

job = json.loads(sys.argv[1])


def duckdb_extension():
    import duckdb
    import duckdb_extension_postgres_scanner as wheel

    extension = os.path.join(
        os.path.dirname(wheel.__file__), "extensions", f"v{duckdb.__version__}", "postgres_scanner.duckdb_extension"
    )

    def work():
        db = duckdb.connect()
        db.execute(f"load '{extension}'")
        db.execute(f"attach '{job['url']}' as pg (type postgres, read_only)")
        path = os.path.join(job["dir"], "rows.parquet")
        db.execute(f"copy pg.{job['schema']}.{job['table']} to '{path}' (format parquet, compression zstd)")
        db.close()
        return [path]

    return work


def connectorx():
    import connectorx as cx
    import pyarrow.parquet as pq

    def work():
        rows = cx.read_sql(job["url"], job["select_sql"], return_type="arrow", protocol="binary")
        path = os.path.join(job["dir"], "rows.parquet")
        pq.write_table(rows, path, compression="zstd")
        return [path]

    return work


def dlt(backend):
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt as library
    from dlt.sources.sql_database import sql_table

    def work():
        rows = sql_table(
            credentials=job["url"].replace("postgres://", "postgresql+psycopg2://"),
            schema=job["schema"],
            table=job["table"],
            backend=backend,
            chunk_size=100_000,
            backend_kwargs={"conn": job["url"].replace("postgres://", "postgresql://")} if backend == "connectorx" else None,
        )
        pipeline = library.pipeline(
            pipeline_name="bench",
            pipelines_dir=os.path.join(job["dir"], "state"),
            destination=library.destinations.filesystem(bucket_url=os.path.join(job["dir"], "lake")),
            dataset_name="bronze",
        )
        pipeline.run(rows, loader_file_format="parquet", write_disposition="replace")
        return glob.glob(os.path.join(job["dir"], "lake", "**", job["table"], "*.parquet"), recursive=True)

    return work


WAYS = {
    "duckdb_extension": (["duckdb", "duckdb_extension_postgres_scanner"], duckdb_extension),
    "connectorx": (["connectorx", "pyarrow"], connectorx),
    "dlt": (["dlt", "sqlalchemy", "psycopg2", "pyarrow"], lambda: dlt("pyarrow")),
    "dlt_connectorx": (["dlt", "sqlalchemy", "psycopg2", "pyarrow", "connectorx"], lambda: dlt("connectorx")),
}


def peak_kb():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if "way" not in job:
    present = [name for name, (needs, _) in WAYS.items() if all(importlib.util.find_spec(need) for need in needs)]
    print(json.dumps(present))
    sys.exit()

work = WAYS[job["way"]][1]()
started = time.perf_counter()
files = work()
wall = time.perf_counter() - started
usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(
    json.dumps(
        {
            "wall_s": wall,
            "user_s": sum(each.ru_utime for each in usage),
            "sys_s": sum(each.ru_stime for each in usage),
            "peak_rss_mb": peak_kb() / 1024,
            "files": files,
            "bytes": sum(os.path.getsize(file) for file in files),
        }
    )
)

import { SluiceError } from '../core/errors.ts';
import { type CursorProof, proveCursors } from './cursor-proof.ts';
import { readGuard } from './guard.ts';
import { openSession, type SourceSession } from './source-session.ts';

/** What a database says of itself before anything is decided: plain facts from its catalog, in a fixed number of queries however many tables there are. */

export interface SurveyedColumn {
  readonly name: string;
  /** As Postgres prints it: numeric(14,2). */
  readonly type: string;
  /** pg_type.typname below any domains. */
  readonly baseType: string;
  readonly notNull: boolean;
  readonly readable: boolean;
  /** The column a foreign key ties it to. */
  readonly references: ColumnPlace | null;
}

export interface ColumnPlace {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
}

export interface SurveyedTable {
  readonly schema: string;
  readonly table: string;
  readonly kind: 'table' | 'partitioned' | 'view' | 'materialized view' | 'foreign table';
  readonly comment: string | null;
  readonly columns: readonly SurveyedColumn[];
  readonly primaryKey: readonly string[] | null;
  /** Column lists of unique indexes that hold for every row: valid, whole, of columns that are never NULL. */
  readonly uniqueKeys: readonly (readonly string[])[];
  /** Columns that lead an index. */
  readonly indexed: readonly string[];
  /** Estimates: null when the table was never analysed. */
  readonly rows: number | null;
  /** Counted by the server since its statistics began. */
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  /** The table whose reads bring this one's rows: it is a partition or inherits. */
  readonly parent: string | null;
  readonly partition: boolean;
  readonly hasHeirs: boolean;
  /** True when a policy hides rows from this role. */
  readonly hidesRows: boolean;
  /** Per timestamptz column that could be a cursor: what the triggers prove. */
  readonly cursors: Readonly<Record<string, CursorProof>>;
}

export interface SourceSurvey {
  readonly database: string;
  readonly serverVersion: string;
  /** Why no cursor can be used on this server with this role, whatever the triggers say; null when one can. */
  readonly unprovable: string | null;
  readonly schemas: readonly string[];
  readonly tables: readonly SurveyedTable[];
}

export interface SurveyOptions {
  readonly url: string;
  /** Only these; all but the system's when absent. */
  readonly schemas?: readonly string[] | undefined;
  readonly version: string;
  readonly signal?: AbortSignal | undefined;
  readonly limits?: { readonly statementTimeoutMs?: number; readonly lockTimeoutMs?: number };
}

const OLDEST_POSTGRES = 14;

/** Reads only. Throws SOURCE_UNREACHABLE, SOURCE_AUTH_FAILED, SOURCE_QUERY_FAILED; USAGE for a Postgres that is too old, SOURCE_TABLE_MISSING for a schema that is not there. */
export async function surveySource(options: SurveyOptions): Promise<SourceSurvey> {
  const session = await openSession({
    url: options.url,
    applicationName: `sluice/${options.version} init`,
    statementTimeoutMs: options.limits?.statementTimeoutMs ?? 60_000,
    lockTimeoutMs: options.limits?.lockTimeoutMs ?? 10_000,
    signal: options.signal,
  });
  try {
    const [server] = await session.rows<{ version: string; number: number; database: string }>(
      `select current_setting('server_version') as version, current_setting('server_version_num')::int as number, current_database() as database`,
    );
    if (server === undefined) throw new Error('the server did not say its version');
    if (server.number < OLDEST_POSTGRES * 10_000) {
      throw new SluiceError(
        'USAGE',
        `The server is Postgres ${server.version}; Sluice reads ${OLDEST_POSTGRES} and newer.`,
        {
          remedy: 'Upgrade the server, or replicate the tables logically into a newer one and start from there.',
        },
      );
    }
    const guard = await readGuard(session);
    await session.rows('begin transaction isolation level repeatable read, read only');
    const schemas = await readSchemas(session, options.schemas);
    const relations = await readRelations(session, schemas);
    const oids = relations.map((relation) => relation.oid);
    const columns = await readColumns(session, oids);
    const indexes = await readIndexes(session, oids);
    const proofs = await proveCursors(session, candidatesOf(relations, columns), guard.timeline);
    await session.rows('commit');
    const tables = relations.map((relation): SurveyedTable => {
      const own = indexes.filter((index) => index.oid === relation.oid);
      const keys = own.filter((index) => index.unique && index.whole);
      const proven = proofs.get(relation.oid);
      return {
        schema: relation.schema,
        table: relation.table,
        kind: KINDS[relation.kind] ?? 'table',
        comment: relation.comment,
        columns: columns.get(relation.oid) ?? [],
        primaryKey: keys.find((index) => index.primary)?.columns ?? null,
        uniqueKeys: keys.filter((index) => !index.primary).map((index) => index.columns),
        indexed: own.flatMap((index) => (index.lead === null ? [] : [index.lead])),
        rows: relation.rows,
        inserted: relation.inserted,
        updated: relation.updated,
        deleted: relation.deleted,
        parent: relation.parent,
        partition: relation.partition,
        hasHeirs: relation.heirs,
        hidesRows: relation.hidden,
        cursors: Object.fromEntries(proven ?? []),
      };
    });
    return { database: server.database, serverVersion: server.version, unprovable: guard.unprovable, schemas, tables };
  } finally {
    await session.close();
  }
}

const KINDS: Readonly<Record<string, SurveyedTable['kind']>> = {
  r: 'table',
  p: 'partitioned',
  v: 'view',
  m: 'materialized view',
  f: 'foreign table',
};

async function readSchemas(session: SourceSession, wanted: readonly string[] | undefined): Promise<readonly string[]> {
  const rows = await session.rows<{ name: string; usable: boolean }>(
    `select nspname as name, has_schema_privilege(oid, 'usage') as usable from pg_namespace
      where nspname !~ '^pg_' and nspname <> 'information_schema' order by nspname collate "C"`,
  );
  if (wanted === undefined) return rows.filter((row) => row.usable).map((row) => row.name);
  for (const name of wanted) {
    const row = rows.find((candidate) => candidate.name === name);
    if (row?.usable === true) continue;
    const others = rows.filter((candidate) => candidate.usable).map((candidate) => candidate.name);
    throw new SluiceError(
      'SOURCE_TABLE_MISSING',
      row === undefined ? `The database has no schema ${name}.` : `The role may not use the schema ${name}.`,
      {
        remedy:
          row === undefined
            ? `Its schemas are: ${others.join(', ') || 'none'}.`
            : `Run: grant usage on schema ${name} to the role, and grant select on its tables.`,
        details: { schema: name, schemas: others },
      },
    );
  }
  return [...new Set(wanted)];
}

interface RelationRow {
  readonly oid: string;
  readonly schema: string;
  readonly table: string;
  readonly kind: string;
  readonly comment: string | null;
  readonly rows: number | null;
  readonly inserted: number;
  readonly updated: number;
  readonly deleted: number;
  readonly parent: string | null;
  readonly partition: boolean;
  readonly heirs: boolean;
  readonly hidden: boolean;
}

/** Tables that an extension brought are its own business. A partitioned table's figures are the sums of its leaves. */
async function readRelations(session: SourceSession, schemas: readonly string[]): Promise<readonly RelationRow[]> {
  return session.rows<RelationRow>(
    `select c.oid::text as oid, n.nspname as schema, c.relname as table, c.relkind::text as kind,
            obj_description(c.oid, 'pg_class') as comment, figures.rows, figures.inserted, figures.updated, figures.deleted,
            (select format('%s.%s', pn.nspname, p.relname) from pg_inherits h join pg_class p on p.oid = h.inhparent
               join pg_namespace pn on pn.oid = p.relnamespace where h.inhrelid = c.oid order by h.inhseqno limit 1) as parent,
            c.relispartition as partition,
            c.relkind = 'r' and exists (select from pg_inherits h where h.inhparent = c.oid) as heirs,
            row_security_active(c.oid) as hidden
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       cross join lateral (
         select sum(case when l.reltuples >= 0 then l.reltuples when pg_stat_get_live_tuples(l.oid) > 0 then pg_stat_get_live_tuples(l.oid) end)::float8 as rows,
                coalesce(sum(pg_stat_get_tuples_inserted(l.oid)), 0)::float8 as inserted,
                coalesce(sum(pg_stat_get_tuples_updated(l.oid)), 0)::float8 as updated,
                coalesce(sum(pg_stat_get_tuples_deleted(l.oid)), 0)::float8 as deleted
           from pg_class l
          where l.oid in (select c.oid where c.relkind <> 'p'
                          union all select t.relid from pg_partition_tree(c.oid) t where c.relkind = 'p' and t.isleaf)
       ) figures
      where n.nspname = any ($1::text[]) and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
      order by n.nspname collate "C", c.relname collate "C"`,
    [schemas],
  );
}

async function readColumns(
  session: SourceSession,
  oids: readonly string[],
): Promise<ReadonlyMap<string, readonly SurveyedColumn[]>> {
  const rows = await session.rows<{
    oid: string;
    name: string;
    type: string;
    base: string;
    not_null: boolean;
    readable: boolean;
    target: readonly [string, string, string] | null;
  }>(
    `with recursive base as (
       select attrelid, attnum, atttypid as type from pg_attribute
        where attrelid = any ($1::oid[]) and attnum > 0 and not attisdropped
       union all
       select b.attrelid, b.attnum, t.typbasetype from base b join pg_type t on t.oid = b.type where t.typtype = 'd'
     )
     select a.attrelid::text as oid, a.attname as name, format_type(a.atttypid, a.atttypmod) as type, t.typname as base,
            a.attnotnull as not_null, has_column_privilege(a.attrelid, a.attnum, 'select') as readable,
            (select array[n.nspname, r.relname, f.attname]::text[]
               from pg_constraint k
               join pg_class r on r.oid = k.confrelid
               join pg_namespace n on n.oid = r.relnamespace
               join pg_attribute f on f.attrelid = k.confrelid and f.attnum = k.confkey[array_position(k.conkey, a.attnum)]
              where k.contype = 'f' and k.conrelid = a.attrelid and a.attnum = any (k.conkey) order by k.oid limit 1) as target
       from base b
       join pg_type t on t.oid = b.type and t.typtype <> 'd'
       join pg_attribute a on a.attrelid = b.attrelid and a.attnum = b.attnum
      order by a.attrelid, a.attnum`,
    [oids],
  );
  const columns = new Map<string, SurveyedColumn[]>();
  for (const { oid, name, type, base, not_null: notNull, readable, target } of rows) {
    const list = columns.get(oid) ?? [];
    const references = target && { schema: target[0], table: target[1], column: target[2] };
    list.push({ name, type, baseType: base, notNull, readable, references });
    columns.set(oid, list);
  }
  return columns;
}

interface IndexRow {
  readonly oid: string;
  readonly primary: boolean;
  readonly unique: boolean;
  /** Over plain columns that are never NULL, for every row. */
  readonly whole: boolean;
  readonly columns: readonly string[];
  readonly lead: string | null;
}

async function readIndexes(session: SourceSession, oids: readonly string[]): Promise<readonly IndexRow[]> {
  return session.rows<IndexRow>(
    `select i.indrelid::text as oid, i.indisprimary as primary, i.indisunique as unique,
            i.indisvalid and i.indpred is null and i.indexprs is null and keys.never_null as whole,
            keys.names as columns, (select a.attname from pg_attribute a where a.attrelid = i.indrelid and a.attnum = i.indkey[0]) as lead
       from pg_index i
       cross join lateral (
         select coalesce(array_agg(a.attname::text order by k.at), '{}') as names, coalesce(bool_and(a.attnotnull), false) as never_null
           from unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) with ordinality k (attnum, at)
           join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
       ) keys
      where i.indrelid = any ($1::oid[]) and i.indisvalid
      order by i.indrelid, i.indisprimary desc, cardinality(keys.names), i.indexrelid`,
    [oids],
  );
}

/** Every timestamptz column of a table is a candidate: a trigger, not a name, makes a cursor. */
function candidatesOf(
  relations: readonly RelationRow[],
  columns: ReadonlyMap<string, readonly SurveyedColumn[]>,
): Parameters<typeof proveCursors>[1] {
  return relations
    .filter((relation) => relation.kind === 'r' || relation.kind === 'p')
    .map((relation) => ({
      oid: relation.oid,
      kind: relation.kind,
      columns: (columns.get(relation.oid) ?? [])
        .filter((column) => column.baseType === 'timestamptz')
        .map((column) => column.name),
    }))
    .filter((relation) => relation.columns.length > 0);
}

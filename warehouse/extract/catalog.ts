import type { SourceIdentity } from '../core/bronze-commit.ts';
import type { ColumnContract, TableContract } from '../core/bronze-table.ts';
import { SluiceError } from '../core/errors.ts';
import { type CarriedColumn, carriedAs, carriedText, type ServerFacts } from './copy/carried-as.ts';
import { type CatalogColumn, readServerFacts, readSourceColumns } from './copy/source-type.ts';
import { maskContract, maskedSql, maskOf } from './mask.ts';
import type { SourceDefinition, TableDefinition } from './source-definition.ts';
import type { SourceSession } from './source-session.ts';

/** What Postgres' catalog says of the tables that leave it. */

export interface CatalogTable {
  readonly source: string;
  readonly schema: string;
  readonly table: string;
  readonly definition: TableDefinition;
  readonly oid: string;
  /** pg_class.relkind: r table, p partitioned, v view, m materialized view. */
  readonly kind: string;
  readonly contract: TableContract;
  /** How each column of the contract is selected, decoded and held. */
  readonly columns: readonly CarriedColumn[];
  /** True when Postgres itself guarantees the key: unique, not null, valid. */
  readonly keyProven: boolean;
  /** Planner's estimate; -1 when never analysed. */
  readonly estimatedRows: number;
}

/** Contracts of every table of a source. Throws SOURCE_TABLE_MISSING, SOURCE_COLUMN_MISSING, SOURCE_DEFINITION_INVALID. `maskSecret` must be there where columns are hashed. */
export async function readCatalog(
  session: SourceSession,
  source: SourceDefinition,
  maskSecret?: string,
): Promise<readonly CatalogTable[]> {
  refuseSameName(Object.keys(source.tables), `source ${source.name}`, 'tables');
  const facts = await readServerFacts(session);
  const tables: CatalogTable[] = [];
  for (const [table, definition] of Object.entries(source.tables)) {
    tables.push(await readTable(session, source, table, definition, { facts, maskSecret }));
  }
  return tables;
}

async function readTable(
  session: SourceSession,
  source: SourceDefinition,
  table: string,
  definition: TableDefinition,
  context: { readonly facts: ServerFacts; readonly maskSecret: string | undefined },
): Promise<CatalogTable> {
  const name = `${source.schema}.${table}`;
  const [found] = await session.rows<{ oid: string; kind: string; estimate: number }>(
    `select c.oid::text as oid, c.relkind::text as kind, c.reltuples::float8 as estimate
       from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = $2`,
    [source.schema, table],
  );
  if (found === undefined || !['r', 'p', 'v', 'm', 'f'].includes(found.kind)) {
    throw new SluiceError(
      'SOURCE_TABLE_MISSING',
      `The source ${source.name} names the table ${name}, which Postgres does not have.`,
      {
        remedy: `Correct the schema or the table in models/sources, or grant the role usage on the schema ${source.schema}.`,
      },
    );
  }
  if (found.kind === 'f') {
    throw new SluiceError(
      'SOURCE_DEFINITION_INVALID',
      `${name} is a foreign table, which no snapshot of this database covers.`,
      {
        remedy: 'Extract it from the server that holds it, as a source of its own.',
      },
    );
  }
  const known = await readSourceColumns(session, found.oid);
  refuseSameName(definition.columns, `table ${name}`, 'columns');
  const columns: CarriedColumn[] = [];
  const contracts = definition.columns.map((column): ColumnContract => {
    const row = known.get(column);
    if (row === undefined) {
      throw new SluiceError(
        'SOURCE_COLUMN_MISSING',
        `The table ${name} has no column ${column}, which source ${source.name} carries.`,
        {
          remedy: 'Restore the column, or take it out of models/sources: its history stays in bronze.',
          details: { table: name, column },
        },
      );
    }
    const kind = maskOf(definition, column);
    const carried = carry(row, kind, definition, context.facts);
    columns.push(carried);
    return {
      name: column,
      postgresType: row.postgresType,
      duckdbType: carried.duckdbType,
      nullable: kind === 'drop' || !row.notNull,
      policy: carried.policy,
      ...(kind !== undefined && { mask: maskContract(kind, context.maskSecret) }),
    };
  });
  return {
    source: source.name,
    schema: source.schema,
    table,
    definition,
    oid: found.oid,
    kind: found.kind,
    contract: { key: definition.key, columns: contracts },
    columns,
    keyProven: await isKeyProven(session, found.oid, definition.key),
    estimatedRows: found.estimate,
  };
}

/** A masked column is selected as its mask: a hash is text; what is dropped keeps the type it would have. */
function carry(
  column: CatalogColumn,
  mask: 'hash' | 'drop' | undefined,
  definition: TableDefinition,
  facts: ServerFacts,
): CarriedColumn {
  const policies = definition.unrepresentable ?? {};
  const policy = Object.hasOwn(policies, column.name) ? (policies[column.name] ?? 'error') : 'error';
  const carried = carriedAs(column, facts, policy);
  if (mask === undefined) return carried;
  const { name, builtIn } = column.type;
  if (mask === 'hash')
    return carriedText(column, maskedSql(column.name, { text: column.baseText, name, builtIn }, mask), facts, 'error');
  const type = carried.wire.kind === 'text' ? 'text' : column.baseText;
  return { ...carried, select: maskedSql(column.name, { text: type, name, builtIn }, mask), policy: 'error' };
}

/** True when a valid, whole, immediate-or-deferred unique index covers exactly the key and no key column may be NULL. Deferred ones hold in any snapshot. */
async function isKeyProven(session: SourceSession, oid: string, key: readonly string[]): Promise<boolean> {
  if (key.length === 0) return false;
  const [found] = await session.rows<{ proven: boolean }>(
    `select exists (
       select from pg_index i
        where i.indrelid = $1::oid and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
          and (select array_agg(a.attname::text order by a.attname::text collate "C")
                 from pg_attribute a
                where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
              = $2::text[]
          and not exists (select from pg_attribute a
                           where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                             and not a.attnotnull)
     ) and not exists (select from pg_inherits h join pg_class c on c.oid = $1::oid
                        where h.inhparent = c.oid and c.relkind = 'r') as proven`,
    [oid, [...key].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))],
  );
  return found?.proven === true;
}

/** Which database this is. The cluster's own number is readable by everyone unless it was revoked. */
export async function readIdentity(session: SourceSession): Promise<Omit<SourceIdentity, 'schema'>> {
  const [row] = await session.rows<{ database: string; oid: string; readable: boolean }>(
    `select current_database() as database,
            (select oid::text from pg_database where datname = current_database()) as oid,
            has_function_privilege('pg_catalog.pg_control_system()', 'execute') as readable`,
  );
  const [system] =
    row?.readable === true
      ? await session.rows<{ id: string }>('select system_identifier::text as id from pg_control_system()')
      : [];
  return { systemIdentifier: system?.id ?? null, databaseOid: row?.oid ?? '', database: row?.database ?? '' };
}

/** Postgres tells "Id" from "id", DuckDB does not. */
function refuseSameName(names: readonly string[], where: string, what: string): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const other = seen.get(name.toLowerCase());
    if (other !== undefined) {
      throw new SluiceError(
        'SOURCE_DEFINITION_INVALID',
        `The ${what} ${other} and ${name} of ${where} differ only in case.`,
        {
          remedy: `Carry one of them, or rename one in Postgres: SQL over the lake does not tell them apart.`,
        },
      );
    }
    seen.set(name.toLowerCase(), name);
  }
}

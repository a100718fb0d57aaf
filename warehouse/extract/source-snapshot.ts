import type { SourceIdentity, SourceSnapshot } from '../core/bronze-commit.ts';
import { SluiceError } from '../core/errors.ts';
import { quotePath } from '../core/quote.ts';
import { type CatalogTable, readCatalog, readIdentity } from './catalog.ts';
import { type GuardReading, readGuard } from './guard.ts';
import { requireMaskSecret } from './mask.ts';
import type { SourceDefinition } from './source-definition.ts';
import type { SourceSession } from './source-session.ts';

/** One moment of the source, held open: every read through this session sees it. */
export interface OpenSnapshot {
  readonly snapshot: SourceSnapshot;
  /** pg_export_snapshot(): other sessions may import it while this one is open. */
  readonly exported: string;
  readonly guard: GuardReading;
  readonly identity: Omit<SourceIdentity, 'schema'>;
  readonly tables: readonly CatalogTable[];
}

const ATTEMPTS = 5;

/**
 * Opens REPEATABLE READ READ ONLY, then touches every table, which locks it against ALTER, TRUNCATE and DROP. What slipped in between
 * (such statements show an older snapshot an empty or changed table) is noticed by its new file node, and the snapshot is taken again.
 */
export async function openSnapshot(
  session: SourceSession,
  sources: readonly SourceDefinition[],
  maskSecret?: string,
): Promise<OpenSnapshot> {
  requireMaskSecret(sources, maskSecret);
  const guard = await readGuard(session);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    await session.rows('begin transaction isolation level repeatable read, read only');
    const [taken] = await session.rows<{ exported: string; id: string }>(
      'select pg_export_snapshot() as exported, pg_current_snapshot()::text as id',
    );
    const identity = await readIdentity(session);
    const tables: CatalogTable[] = [];
    for (const source of sources) tables.push(...(await readCatalog(session, source, maskSecret)));
    if (taken !== undefined && (await lockUnchanged(session, tables))) {
      const snapshot = { id: taken.id, at: guard.clock, lsn: guard.lsn };
      return { snapshot, exported: taken.exported, guard, identity, tables };
    }
    await session.rows('rollback');
  }
  throw new SluiceError(
    'SOURCE_QUERY_FAILED',
    `Tables were altered or truncated while a snapshot was taken, ${ATTEMPTS} times in a row.`,
    {
      remedy: 'Run again when the migration is over.',
      retryable: true,
    },
  );
}

/** Locks every table for the transaction; false when one was rewritten or replaced after the snapshot. */
async function lockUnchanged(session: SourceSession, tables: readonly CatalogTable[]): Promise<boolean> {
  for (const table of tables) {
    const columns = table.columns.map((column) => column.select).join(', ');
    // Columns altered after the snapshot may be missing here: then the file node, or the next attempt's catalog, tells.
    await session.rows(`select ${columns} from ${quotePath(table.schema, table.table)} limit 0`);
  }
  // pg_class is read as of the snapshot, pg_relation_filenode() and to_regclass() as of now.
  const [found] = await session.rows<{ changed: boolean }>(
    `select exists (
       select from unnest($1::oid[], $2::text[]) as t (oid, name)
         left join pg_class c on c.oid = t.oid
        where to_regclass(t.name)::oid is distinct from t.oid
           or (c.relkind <> 'p' and c.relfilenode <> 0 and pg_relation_filenode(t.oid) is distinct from c.relfilenode)
           or exists (select from pg_partition_tree(t.oid::regclass) l join pg_class p on p.oid = l.relid
                       where p.relfilenode <> 0 and pg_relation_filenode(p.oid) is distinct from p.relfilenode)
     ) as changed`,
    [tables.map((table) => table.oid), tables.map((table) => quotePath(table.schema, table.table))],
  );
  return found?.changed === false;
}

/** Throws LAKE_OF_ANOTHER_SOURCE when a lake was filled from another cluster, database or schema. */
export function checkIdentity(source: string, known: SourceIdentity | null, now: SourceIdentity): void {
  if (known === null) return;
  const otherCluster =
    known.systemIdentifier !== null && now.systemIdentifier !== null && known.systemIdentifier !== now.systemIdentifier;
  if (!otherCluster && known.databaseOid === now.databaseOid && known.schema === now.schema) return;
  throw new SluiceError(
    'LAKE_OF_ANOTHER_SOURCE',
    `The lake’s source ${source} was filled from ${describe(known)}, but the source now is ${describe(now)}.`,
    {
      remedy:
        'Point SLUICE_LAKE at this source’s own lake (or an empty folder), or SLUICE_SOURCE_URL at the database the lake belongs to.',
      details: { source, known, now },
    },
  );
}

function describe(identity: SourceIdentity): string {
  const cluster = identity.systemIdentifier ?? 'unknown';
  return `schema ${identity.schema} of database ${identity.database} (oid ${identity.databaseOid}, cluster ${cluster})`;
}

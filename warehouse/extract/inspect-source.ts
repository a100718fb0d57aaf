import type { BronzeState, TableMode } from '../core/bronze-commit.ts';
import type { TableContract } from '../core/bronze-table.ts';
import { proveCursor } from './cursor-proof.ts';
import type { ExtractOptions } from './extract-batch.ts';
import { openSession } from './source-session.ts';
import { checkIdentity, openSnapshot } from './source-snapshot.ts';

/** What a source offers before a row is read: for plans on an empty lake and for `doctor`. */
export interface SourceInspection {
  /** e.g. 18.4 */
  readonly serverVersion: string;
  /** Why no cursor watermark can be computed on this server now; null when it can. */
  readonly unprovable: string | null;
  readonly tables: readonly {
    readonly source: string;
    readonly table: string;
    readonly mode: TableMode;
    readonly contract: TableContract;
    /** Planner's estimate; -1 when never analysed. */
    readonly estimatedRows: number;
    /** Cursor tables only: why they are not read by their cursor but scanned for rows of new transactions; null when the cursor is proven. */
    readonly unprovenBecause: string | null;
  }[];
}

/** Connects, checks every table and column of the definitions, and leaves. Throws what an extraction would: SOURCE_*, and with a state LAKE_OF_ANOTHER_SOURCE. */
export async function inspectSource(
  options: Pick<ExtractOptions, 'url' | 'sources' | 'version' | 'maskSecret' | 'signal' | 'limits'> & {
    readonly state?: BronzeState;
  },
): Promise<SourceInspection> {
  const session = await openSession({
    url: options.url,
    applicationName: `sluice/${options.version} inspect`,
    statementTimeoutMs: options.limits?.statementTimeoutMs ?? 60_000,
    lockTimeoutMs: options.limits?.lockTimeoutMs ?? 10_000,
    maskSecret: options.maskSecret,
    signal: options.signal,
  });
  try {
    const [server] = await session.rows<{ server_version: string }>('show server_version');
    const open = await openSnapshot(session, options.sources, options.maskSecret);
    for (const source of options.sources) {
      const known = options.state?.sources.find((state) => state.source === source.name)?.identity ?? null;
      checkIdentity(source.name, known, { ...open.identity, schema: source.schema });
    }
    const tables: SourceInspection['tables'][number][] = [];
    for (const table of open.tables) {
      const { source, contract, estimatedRows } = table;
      const { mode } = table.definition;
      const proof = mode === 'cursor' ? await proveCursor(session, table, open.guard.timeline) : undefined;
      const unprovenBecause = proof !== undefined && 'why' in proof ? proof.why : null;
      tables.push({ source, table: table.table, mode, contract, estimatedRows, unprovenBecause });
    }
    await session.rows('commit');
    return { serverVersion: server?.server_version ?? '', unprovable: open.guard.unprovable, tables };
  } finally {
    await session.close();
  }
}

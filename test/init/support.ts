import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type CliResult, parseJson, runCli } from '../support/cli.ts';
import { testDatabase } from '../support/postgres.ts';

/** An empty database and a folder where no project is yet. */
export interface InitPlace extends AsyncDisposable {
  readonly url: string;
  readonly client: pg.Client;
  readonly dir: string;
  sluice(...args: readonly string[]): Promise<CliResult>;
  /** sluice init --from this database, as JSON. Fails when the command does. */
  propose(...args: readonly string[]): Promise<InitAnswer>;
}

export interface InitAnswer {
  readonly database: string;
  readonly files: readonly string[];
  readonly created: readonly string[];
  readonly unprovable: string | null;
  readonly ms: number;
  readonly next: readonly { readonly command: string; readonly why: string }[];
  readonly sources: readonly {
    readonly name: string;
    readonly schema: string;
    readonly tables: readonly {
      readonly table: string;
      readonly mode: string;
      readonly why: string;
      readonly key: readonly string[];
      readonly cursor: string | null;
      readonly estimated_rows: number | null;
      readonly hints: readonly string[];
      readonly columns: readonly {
        readonly name: string;
        readonly type: string;
        readonly treatment: string;
        readonly why: string | null;
      }[];
    }[];
    readonly left_out: readonly { readonly table: string; readonly why: string }[];
  }[];
}

export async function initPlace(): Promise<InitPlace> {
  const database = await testDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'sluice-init-'));
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  const sluice: InitPlace['sluice'] = (...args) =>
    runCli([...args, '--project', dir], { env: { SLUICE_THREADS: '1', SLUICE_MEMORY_MB: '512' } });
  return {
    url: database.url,
    client,
    dir,
    sluice,
    propose: async (...args) => {
      const result = await sluice('init', '--from', database.url, '--json', ...args);
      if (result.code !== 0) throw new Error(`sluice init failed: ${result.stdout}${result.stderr}`);
      return parseJson(result) as unknown as InitAnswer;
    },
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await database.drop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

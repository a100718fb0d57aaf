import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BenchServer, withClient } from './dataset.ts';

/** One variant as a process of its own: it prints its measurement as its last line. */

export interface Measurement {
  /** From the first statement, connecting included, until the file is closed. */
  readonly wall_s: number;
  /** From starting the process until its end. */
  readonly process_s: number;
  readonly user_s: number;
  readonly sys_s: number;
  readonly peak_rss_mb: number;
  /** CPU of the server's connections; null where the system does not tell. */
  readonly backend_s: number | null;
  /** Connections opened. */
  readonly sessions: number;
  /** Parquet files written; none where the rows went nowhere. */
  readonly files: readonly string[];
  readonly bytes: number;
}

export async function runChild(
  server: BenchServer,
  command: readonly [program: string, ...args: string[]],
): Promise<Measurement> {
  const before = await readServer(server);
  const started = performance.now();
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk));
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve(exit ?? 1));
  });
  const process_s = (performance.now() - started) / 1000;
  if (code !== 0)
    throw new Error(`${args[0] ?? program} ended with ${code}: ${Buffer.concat(errors).toString('utf8')}`);
  const after = await readServer(server);
  const last = Buffer.concat(out).toString('utf8').trim().split('\n').at(-1) ?? '';
  return {
    ...(JSON.parse(last) as Omit<Measurement, 'process_s' | 'backend_s' | 'sessions'>),
    process_s,
    backend_s: before.cpu === null || after.cpu === null ? null : after.cpu - before.cpu,
    // A connection is counted at its first pause: the reading before came after its own look, the one after not yet.
    sessions: after.sessions - before.sessions - 1,
  };
}

/** CPU seconds of the connections closed so far and how many there were, once all but this one have gone. */
async function readServer(server: BenchServer): Promise<{ readonly cpu: number | null; readonly sessions: number }> {
  const sessions = await withClient(server.url, async (client) => {
    for (;;) {
      const { rows } = await client.query<{ others: boolean; sessions: string }>(
        `select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()) as others,
                (select sessions from pg_stat_database where datname = current_database()) as sessions`,
      );
      if (rows[0]?.others !== true) return Number(rows[0]?.sessions ?? 0);
      await sleep(10);
    }
  });
  return { cpu: childrenSeconds(server.pid), sessions };
}

/** proc(5): fields 16 and 17 of stat are the user and system time of the children waited for, in hundredths. */
function childrenSeconds(pid: number): number | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[13]) + Number(fields[14])) / 100;
  } catch {
    return null;
  }
}

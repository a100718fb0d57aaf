import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection } from '@temporalio/client';

/** A real Temporal dev server of a test's own, on free ports, with its state in a file so that it survives being killed. */
export interface TestTemporal {
  readonly address: string;
  /** Of the HTTP API: what the Web UI speaks. */
  readonly httpUrl: string;
  /** TEMPORAL_… variables for a process that uses it. */
  readonly environment: Readonly<Record<string, string>>;
  /** SIGKILL, as a crash would. */
  kill(): Promise<void>;
  /** Starts it again on the same ports and state. */
  start(): Promise<void>;
  /** Ends it and removes its state. */
  close(): Promise<void>;
}

export async function startTestTemporal(): Promise<TestTemporal> {
  const binary = findBinary();
  const dir = await mkdtemp(join(tmpdir(), 'sluice-temporal-'));
  const [port, httpPort] = await freePorts(2);
  const address = `127.0.0.1:${port}`;
  const args = [
    'server',
    'start-dev',
    '--headless',
    '--ip',
    '127.0.0.1',
    '--port',
    String(port),
    '--http-port',
    String(httpPort),
    '--db-filename',
    join(dir, 'temporal.db'),
    '--log-level',
    'error',
  ];
  let child: ChildProcess | undefined;
  /** Undefined when it answers; its last words when it ended before that. */
  const startOnce = async (): Promise<string | undefined> => {
    const started = spawn(binary, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    child = started;
    let words = '';
    started.stderr.on('data', (chunk: Buffer) => (words = `${words}${chunk.toString()}`.slice(-2_000)));
    for (let attempt = 0; ; attempt++) {
      if (started.exitCode !== null) return words || `exit code ${started.exitCode}`;
      try {
        const connection = await Connection.connect({ address, connectTimeout: 1_000 });
        await connection.workflowService.describeNamespace({ namespace: 'default' });
        await connection.close();
        return undefined;
      } catch (error) {
        if (attempt > 150) throw error;
        await sleep(100);
      }
    }
  };
  // It picks inner ports of its own, which somebody may take before it does.
  const start = async (): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      const words = await startOnce();
      if (words === undefined) return;
      if (attempt === 4) throw new Error(`the Temporal server does not start: ${words}\n${binary} ${args.join(' ')}`);
    }
  };
  const kill = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  };
  await start();
  return {
    address,
    httpUrl: `http://127.0.0.1:${httpPort}`,
    environment: { TEMPORAL_ADDRESS: address, TEMPORAL_NAMESPACE: 'default' },
    kill,
    start,
    close: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Never skipped: a machine without the server has not run the tests. */
function findBinary(): string {
  const named = process.env['SLUICE_TEST_TEMPORAL'];
  const cache = join(homedir(), '.cache', 'sluice', 'bin');
  const candidates = [
    ...(named === undefined ? [] : [named]),
    ...['temporal-v1.5.1', 'temporal-1.5.1', 'temporal'].map((name) => join(cache, name)),
    ...(process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'temporal')),
  ];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found !== undefined) return found;
  throw new Error(
    'The tests need a Temporal server: npm run infra:up brings one, or name the CLI (1.5.1 or newer) in SLUICE_TEST_TEMPORAL.',
  );
}

/** Below the range that the system hands out, so that no connection takes one between the look and the start. */
async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    if (await isFree(port)) found.add(port);
  }
  return [...found];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}

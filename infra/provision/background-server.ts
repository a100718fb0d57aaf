import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import type { Log } from '../../warehouse/core/log.ts';
import type { Host } from '../config.ts';
import { anyFreePort, nextFreePort } from '../ports.ts';
import { withFileLock } from './file-lock.ts';
import { findTool } from './find-tool.ts';
import { endProcess, identify, isRunning, type ProcessIdentity, startDetached, startOf } from './processes.ts';
import type { ToolName } from './tool-pins.ts';

/**
 * A server of this machine that outlives whoever started it. What is known of it lies in <dir>/<name>.json:
 *
 *   up → alive and healthy? ─yes→ join it
 *      → alive, not healthy → end it ┐
 *      → dead or never there ────────┴→ choose ports → start → healthy? → prepare → write it down
 */
export interface ServerSpec {
  readonly name: ToolName;
  /** Ports by purpose, with the one each gets when it is free. */
  readonly ports: Readonly<Record<string, number>>;
  command(place: ServerPlace): { readonly args: readonly string[]; readonly env: Record<string, string> };
  /** Resolves when the server answers well; throws the reason otherwise. One try, seconds at most. */
  checkHealth(place: ServerPlace): Promise<void>;
  /** What a fresh server needs besides; safe to repeat. */
  prepare?(place: ServerPlace): Promise<void>;
}

export interface ServerPlace {
  /** The server's data; its process is recognised by it. */
  readonly dataDir: string;
  readonly ports: Readonly<Record<string, number>>;
  /** Made for this server at its first start. */
  readonly secret: string;
  readonly program: string;
}

export interface ServerRecord extends ServerPlace {
  readonly name: ToolName;
  readonly process: ProcessIdentity;
  readonly startedAt: string;
}

export interface RunningServer extends ServerRecord {
  /** false: it ran already and was joined. */
  readonly started: boolean;
}

export interface BringUpOptions {
  /** Holds the record, the data and the log of the server. */
  readonly dir: string;
  readonly host: Host;
  readonly log: Log;
  readonly onProgress?: (note: string) => void;
  /** true: any free ports instead of the usual ones, so that tests are in nobody's way. */
  readonly anyPorts?: boolean;
  /** true: a server that has to be started begins empty. */
  readonly discardData?: boolean;
  readonly makeSecret: () => string;
}

const READY_PATIENCE_MS = 60_000;
/** A server that is just starting, or busy, is not ended at the first silence. */
const JOIN_PATIENCE_MS = 10_000;

/** Starts the server or joins it. Throws TOOL_UNAVAILABLE, PORT_IN_USE, SERVER_START_FAILED. */
export async function bringUp(spec: ServerSpec, options: BringUpOptions): Promise<RunningServer> {
  const { dir, log, onProgress = () => undefined } = options;
  await mkdir(dir, { recursive: true });
  return withFileLock(
    join(dir, `${spec.name}.lock`),
    async () => {
      const before = await readRecord(dir, spec.name);
      if (before !== undefined && isRunning(before.process)) {
        const reason = await waitHealthy(spec, before, JOIN_PATIENCE_MS);
        if (reason === undefined) {
          await spec.prepare?.(before);
          onProgress('runs already');
          return { ...before, started: false };
        }
        log.warn(
          { server: spec.name, pid: before.process.pid, reason },
          'a server runs but does not answer: it is replaced',
        );
        onProgress(`does not answer (${reason}), starting it anew`);
        await endProcess(before.process);
      }
      if (options.discardData === true) await forget(spec.name, dir);
      const tool = await findTool(spec.name, { host: options.host, onProgress });
      return start(spec, tool.path, before, options);
    },
    (holder) => onProgress(`waiting for process ${holder}`),
  );
}

async function start(
  spec: ServerSpec,
  program: string,
  before: ServerRecord | undefined,
  { dir, host, log, onProgress = () => undefined, anyPorts = false, makeSecret }: BringUpOptions,
): Promise<RunningServer> {
  const dataDir = join(dir, spec.name);
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  let reason = '';
  // A port can be taken between the look and the start; then there is another.
  for (let attempt = 1; attempt <= 3; attempt++) {
    const ports = await choosePorts(spec, before, anyPorts, onProgress);
    const place: ServerPlace = { dataDir, ports, secret: before?.secret ?? makeSecret(), program };
    const { args, env } = spec.command(place);
    const logPath = join(dir, `${spec.name}.log`);
    onProgress('starting');
    const child = startDetached(program, args, { env: host.environment(env), logPath, cwd: dataDir });
    const pid = child.pid;
    if (pid === undefined) throw startFailed(spec.name, `${program} cannot be run`, logPath);
    const record: ServerRecord = {
      ...place,
      name: spec.name,
      process: identify(pid, dataDir),
      startedAt: new Date().toISOString(),
    };
    // Before it is ready, so that a starter that is killed here leaves no stranger behind.
    await writeRecord(dir, record);
    const failure = await waitHealthy(spec, record, READY_PATIENCE_MS);
    if (failure === undefined) {
      await spec.prepare?.(record);
      log.info({ server: spec.name, pid, ports }, 'server is ready');
      return { ...record, started: true };
    }
    reason = `${failure}\n${await lastLines(logPath)}`;
    await endProcess(record.process);
    if (!/address already in use/i.test(reason)) break;
  }
  throw startFailed(spec.name, reason, join(dir, `${spec.name}.log`));
}

async function choosePorts(
  spec: ServerSpec,
  remembered: ServerRecord | undefined,
  anyPorts: boolean,
  onProgress: (note: string) => void,
): Promise<Record<string, number>> {
  const ports: Record<string, number> = {};
  const moved: string[] = [];
  for (const [purpose, usual] of Object.entries(spec.ports)) {
    const before = remembered?.ports[purpose];
    if (anyPorts && before === undefined) {
      ports[purpose] = await anyFreePort();
      continue;
    }
    const wanted = before ?? usual;
    const port = await nextFreePort(wanted, new Set(Object.values(ports)));
    if (port !== wanted) moved.push(`port ${wanted} (${purpose}) is in use, ${port} instead`);
    ports[purpose] = port;
  }
  if (moved.length > 0) onProgress(moved.join('; '));
  return ports;
}

/** The reason why it is not healthy; undefined when it is. */
async function waitHealthy(spec: ServerSpec, record: ServerRecord, patienceMs: number): Promise<string | undefined> {
  const until = Date.now() + patienceMs;
  let reason = '';
  for (;;) {
    try {
      await spec.checkHealth(record);
      return undefined;
    } catch (error) {
      reason = messageOf(error);
    }
    if (startOf(record.process.pid) === '') return 'it ended';
    if (Date.now() > until) return reason;
    await sleep(50);
  }
}

/** Ends the server if it runs; true when it did. Only ever this server: pid, start time and data folder must agree. */
export async function takeDown(name: ToolName, dir: string): Promise<boolean> {
  return withFileLock(join(dir, `${name}.lock`), async () => {
    const record = await readRecord(dir, name);
    if (record === undefined || !isRunning(record.process)) return false;
    await endProcess(record.process);
    return true;
  });
}

export async function readRecord(dir: string, name: ToolName): Promise<ServerRecord | undefined> {
  try {
    return JSON.parse(await readFile(join(dir, `${name}.json`), 'utf8')) as ServerRecord;
  } catch {
    return undefined;
  }
}

async function writeRecord(dir: string, record: ServerRecord): Promise<void> {
  const path = join(dir, `${record.name}.json`);
  await writeFile(`${path}.tmp`, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
  await rename(`${path}.tmp`, path);
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-8).join('\n');
}

function startFailed(name: string, reason: string, logPath: string): SluiceError {
  return new SluiceError('SERVER_START_FAILED', `${name} did not get ready: ${reason}`, {
    remedy: `Read ${logPath}; then npm run infra:up again.`,
    details: { server: name },
  });
}

/** Removes what a server that does not run left: record, data and log. */
export async function forget(name: ToolName, dir: string): Promise<void> {
  for (const path of [`${name}.json`, `${name}.log`, `${name}.log.1`, name]) {
    await rm(join(dir, path), { recursive: true, force: true });
  }
}

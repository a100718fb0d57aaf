import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import type { Host } from '../config.ts';
import { buildTool } from './build-tool.ts';
import { downloadTool } from './download-tool.ts';
import { withFileLock } from './file-lock.ts';
import { TOOL_PINS, type ToolName, type ToolPin } from './tool-pins.ts';

/**
 * A server program of a fitting version:
 *
 *   on the PATH? → in the cache? → official download, checked → pinned go install → TOOL_UNAVAILABLE with every reason
 *
 * The cache is the user's, outside any project: a clone of the repository finds what another built.
 */
export interface Tool {
  readonly name: ToolName;
  readonly path: string;
  readonly from: 'path' | 'cache' | 'download' | 'build';
  /** Time it took to get it, in milliseconds. */
  readonly ms: number;
}

export interface FindToolOptions {
  readonly host: Host;
  /** A word on what is being done, for whoever watches. */
  readonly onProgress?: (note: string) => void;
  /** For tests. */
  readonly pins?: Readonly<Record<ToolName, ToolPin>>;
}

const run = promisify(execFile);

export async function findTool(name: ToolName, options: FindToolOptions): Promise<Tool> {
  const { host, onProgress = () => undefined, pins = TOOL_PINS } = options;
  const begin = performance.now();
  const pin = pins[name];
  const found = (path: string, from: Tool['from']): Tool => ({
    name,
    path,
    from,
    ms: Math.round(performance.now() - begin),
  });
  const installed = await findOnPath(pin, host);
  if (installed !== undefined) return found(installed, 'path');
  const cached = await findCached(pin, host);
  if (cached !== undefined) return found(cached, 'cache');
  return withFileLock(
    join(host.cacheDir, 'locks', `${name}.lock`),
    async () => {
      // Whoever held the lock may have brought it.
      const brought = await findCached(pin, host);
      if (brought !== undefined) return found(brought, 'cache');
      const reasons: string[] = [];
      for (const way of ['download', 'build'] as const) {
        const draft = join(host.cacheDir, 'incoming', `${name}-${randomUUID()}`);
        await mkdir(draft, { recursive: true });
        try {
          const get = way === 'download' ? downloadTool : buildTool;
          const program = await get(pin, draft, { host, onProgress });
          const path = cachePath(pin, way, host);
          await mkdir(join(host.cacheDir, 'bin'), { recursive: true });
          await rename(program, path);
          return found(path, way);
        } catch (error) {
          reasons.push(`${way}: ${messageOf(error)}`);
          onProgress(`${way} not possible (${messageOf(error).split('\n')[0]})`);
        } finally {
          await rm(draft, { recursive: true, force: true });
        }
      }
      throw new SluiceError(
        'TOOL_UNAVAILABLE',
        `The server program ${name} cannot be had:\n  ${[`path: none of a fitting version (${pin.wanted})`, ...reasons].join('\n  ')}`,
        {
          remedy: `Install ${name} (${pin.wanted}) so that it is on the PATH, or install Go 1.24 or newer, which builds it once; or let this machine reach ${new URL(Object.values(pin.download.files)[0]?.url ?? 'https://github.com').host}.`,
          details: { tool: name },
        },
      );
    },
    (holder) => onProgress(`waiting for process ${holder}, which is getting it`),
  );
}

async function findOnPath(pin: ToolPin, host: Host): Promise<string | undefined> {
  for (const dir of host.path) {
    const path = join(dir, pin.name);
    if (!(await isExecutable(path))) continue;
    const output = await run(path, ['--version'], { timeout: 5_000 }).then(
      ({ stdout, stderr }) => `${stdout}\n${stderr}`,
      () => '',
    );
    if (pin.fits(output)) return path;
  }
  return undefined;
}

async function findCached(pin: ToolPin, host: Host): Promise<string | undefined> {
  for (const way of ['download', 'build'] as const) {
    const path = cachePath(pin, way, host);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

function cachePath(pin: ToolPin, way: 'download' | 'build', host: Host): string {
  return join(host.cacheDir, 'bin', `${pin.name}-${pin[way].version}`);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

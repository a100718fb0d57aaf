import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { exitCodeOf, isSluiceError, messageOf, SluiceError } from '../../warehouse/core/errors.ts';
import { createLog } from '../../warehouse/core/log.ts';
import { readHost } from '../config.ts';
import { findTools } from './find-tools.ts';
import { type InfraState, infraDown, infraStatus, infraUp } from './infra.ts';
import { S3_SERVERS, type S3ServerName } from './server-specs.ts';
import { TOOL_NAMES } from './tool-pins.ts';

/** `npm run infra:up | infra:down | infra:status | infra:tools`, each with --json, --project DIR and --help. */

const HELP = `npm run infra:up      Postgres, Temporal with its Web UI and an S3 server on this machine, in the background
npm run infra:status  addresses and health; exit code 1 when one is not healthy
npm run infra:down    ends them; data and ports are kept
npm run infra:tools   only finds, downloads or builds the server programs (minutes, once per machine)

  -- --json           one JSON object on standard output
  -- --project DIR    the project whose .sluice/infra holds them (default: this folder)
  -- --s3 NAME        infra:up: minio (default) or versitygw
`;

const write = (text: string): void => void process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
      project: { type: 'string', short: 'p', default: '.' },
      s3: { type: 'string' },
    },
  });
  const [command = ''] = positionals;
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const dir = join(resolve(values.project), '.sluice', 'infra');
  const log = createLog({ level: 'error' });
  switch (command) {
    case 'up': {
      const s3 = s3Of(values.s3);
      const state = await infraUp({
        dir,
        log,
        host: readHost(),
        onProgress: createReporter(values.json),
        ...(s3 !== undefined && { s3 }),
      });
      show(state, values.json);
      if (!values.json) {
        write('\nFor Sluice, as a .env file (cp .sluice/infra/env .env):\n');
        for (const [name, value] of Object.entries(state.environment)) write(`${name}=${value}`);
      }
      return 0;
    }
    case 'status': {
      const state = await infraStatus({ dir });
      show(state, values.json);
      const healthy = state.servers.every((server) => server.healthy);
      // Down takes the file away; what is killed leaves it.
      const ended = !existsSync(state.envFile);
      if (state.servers.length === 0 && !values.json) write('Nothing was brought up here yet: npm run infra:up.');
      else if (!healthy && !values.json) {
        const what = ended
          ? 'Ended by infra:down; npm run infra:up starts them again'
          : 'npm run infra:up brings up what fails';
        write(`\n${what}, with data and ports.`);
      }
      return state.servers.length > 0 && healthy ? 0 : 1;
    }
    case 'down': {
      const ended = await infraDown({ dir, log });
      if (values.json) write(JSON.stringify({ ended }));
      else write(ended.length === 0 ? 'Nothing ran.' : `Ended: ${ended.join(', ')}.`);
      return 0;
    }
    case 'tools': {
      const report = createReporter(values.json);
      const tools = await findTools(TOOL_NAMES, { host: readHost(), onProgress: report });
      if (values.json) write(JSON.stringify({ tools }));
      for (const { name, path, from, ms } of values.json ? [] : tools) {
        write(`✓ ${name.padEnd(10)} ${path} (${from}, ${(ms / 1000).toFixed(1)} s)`);
      }
      return 0;
    }
    default:
      throw new SluiceError('USAGE', `There is no command ${JSON.stringify(command)}.`, { remedy: HELP });
  }
}

function show({ servers, environment, envFile }: InfraState, json: boolean): void {
  if (json) {
    write(JSON.stringify({ servers, environment, env_file: envFile }));
    return;
  }
  for (const server of servers) {
    const how = server.healthy ? (server.started ? 'started' : 'runs') : `FAILS: ${server.reason ?? ''}`;
    write(`${server.healthy ? '✓' : '✗'} ${server.name.padEnd(10)} ${how}, process ${server.pid}`);
    for (const [purpose, address] of Object.entries(server.addresses)) write(`    ${purpose.padEnd(9)} ${address}`);
  }
}

function s3Of(name: string | undefined): S3ServerName | undefined {
  if (name === undefined || Object.keys(S3_SERVERS).includes(name)) return name as S3ServerName | undefined;
  throw new SluiceError('USAGE', `There is no S3 server named ${name}.`, { remedy: '--s3 minio or --s3 versitygw.' });
}

/** Lines on standard error: at once for a new kind of work, every ten seconds while it goes on. */
function createReporter(quiet: boolean): (server: string, note: string) => void {
  const last = new Map<string, { kind: string; at: number }>();
  return (server, note) => {
    if (quiet) return;
    const kind = note.split(/[ :]/)[0] ?? '';
    const before = last.get(server);
    if (before?.kind === kind && Date.now() - before.at < 10_000) return;
    last.set(server, { kind, at: Date.now() });
    process.stderr.write(`· ${server.padEnd(10)} ${note}\n`);
  };
}

function reportFailure(error: unknown): number {
  const known = isSluiceError(error);
  const code = known ? error.code : 'INTERNAL';
  const remedy = known ? error.remedy : undefined;
  if (process.argv.includes('--json')) {
    write(JSON.stringify({ error: { code, message: messageOf(error), remedy: remedy ?? null } }));
  } else {
    process.stderr.write(`error ${code} ${messageOf(error)}\n${remedy === undefined ? '' : `  ${remedy}\n`}`);
  }
  return exitCodeOf(error);
}

process.on('warning', () => undefined);
try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = error instanceof TypeError && 'code' in error ? reportUsage(error) : reportFailure(error);
}

/** parseArgs throws TypeErrors of its own. */
function reportUsage(error: TypeError): number {
  return reportFailure(new SluiceError('USAGE', error.message, { remedy: HELP }));
}

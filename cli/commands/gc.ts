import { sweepLocalLeftovers } from '../../infra/local-leftovers.ts';
import { openProject } from '../../infra/project.ts';
import { sweepBronze } from '../../warehouse/bronze/index.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import { type Garbage, storeNow } from '../../warehouse/core/garbage.ts';
import { sweepReleases } from '../../warehouse/release/index.ts';
import type { CommandHost } from '../context.ts';
import { createProgressView } from '../progress.ts';
import { formatBytes, formatCount, formatTable } from '../table.ts';

const HOUR_MS = 3_600_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: HOUR_MS, d: 24 * HOUR_MS };
/** Places listed by name; the rest is counted. */
const SHOWN = 1000;

const KINDS = [
  { kind: 'bronze', title: 'bronze files' },
  { kind: 'checkpoint', title: 'checkpoints of the log' },
  { kind: 'upload', title: 'unfinished uploads' },
  { kind: 'release', title: 'release files' },
  { kind: 'local', title: 'local copies' },
] as const satisfies readonly { kind: Garbage['kind']; title: string }[];

export function registerGc({ program, action }: CommandHost): void {
  program
    .command('gc')
    .summary('remove what killed runs left behind')
    .description(
      'Removes files of bronze that no commit names, versions and files of the warehouse that no release names, uploads that were never finished, and what killed processes left in the local cache. Commits, their files and releases are never touched, and nothing younger than the limit is: it may belong to a run that has yet to commit. Ages are told by the lake’s own clock. Safe beside running extractions and builds.',
    )
    .option('--older-than <age>', 'remove what is at least so old: 90m, 24h, 7d', '24h')
    .option('--idle', 'nothing else uses this lake now: allows an age under an hour')
    .option('--dry-run', 'only tell what would be removed')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice gc --dry-run\n  $ sluice gc --older-than 7d\n  $ sluice gc --older-than 0m --idle --json',
    )
    .action(
      action<{ olderThan: string; idle?: true; dryRun?: true }>(async ({ config, output, log, signal }, options) => {
        const olderThanMs = parseAge(options.olderThan, options.idle === true);
        const dryRun = options.dryRun === true;
        const { store, releases } = openProject(config, log);
        const view = createProgressView(output);
        const totals = new Map<Garbage['kind'], { count: number; bytes: number }>();
        const shown: Garbage[] = [];
        try {
          const nowMs = dryRun ? Date.now() : await storeNow(store);
          const sweep = { store, olderThanMs, nowMs, dryRun, signal };
          const current = await releases.current();
          const kept = new Set(Object.values(current?.files ?? {}).map((file) => file.sha256));
          const areas = [
            ['bronze', sweepBronze(sweep)],
            ['releases', sweepReleases(sweep)],
            ['local cache', sweepLocalLeftovers({ config, olderThanMs, dryRun, kept })],
          ] as const;
          for (const [item, found] of areas) {
            view.onProgress({ stage: 'gc', item, state: 'started' });
            let count = 0;
            for await (const garbage of found) {
              signal.throwIfAborted();
              const total = totals.get(garbage.kind) ?? { count: 0, bytes: 0 };
              totals.set(garbage.kind, { count: total.count + 1, bytes: total.bytes + garbage.bytes });
              if (shown.length < SHOWN) shown.push(garbage);
              view.onProgress({ stage: 'gc', item, state: 'running', rows: (count += 1) });
            }
            view.onProgress({ stage: 'gc', item, state: 'finished', note: count === 0 ? 'clean' : formatCount(count) });
          }
        } finally {
          view.done();
        }
        const all = [...totals.values()];
        const count = all.reduce((sum, total) => sum + total.count, 0);
        const bytes = all.reduce((sum, total) => sum + total.bytes, 0);
        output.result({
          dry_run: dryRun,
          older_than_ms: olderThanMs,
          count,
          bytes,
          kinds: Object.fromEntries(KINDS.map(({ kind }) => [kind, totals.get(kind) ?? { count: 0, bytes: 0 }])),
          items: shown.map(({ kind, place, bytes: size, ageMs, why }) => ({
            kind,
            place,
            bytes: size,
            age_ms: Math.round(ageMs),
            why,
          })),
          items_left_off: count - shown.length,
        });
        if (count === 0) {
          output.line(`Nothing to remove: all that is older than ${options.olderThan} is in use.`);
          return undefined;
        }
        output.line(
          formatTable(
            KINDS.flatMap(({ kind, title }) => ({ title, ...(totals.get(kind) ?? { count: 0, bytes: 0 }) })).filter(
              (row) => row.count > 0,
            ),
            [
              { title: dryRun ? 'would remove' : 'removed', value: (row) => row.title },
              { title: 'count', value: (row) => formatCount(row.count), align: 'right' },
              { title: 'bytes', value: (row) => formatBytes(row.bytes), align: 'right' },
            ],
          ),
        );
        for (const { place, why } of shown.slice(0, 20)) output.line(`  ${place} (${why})`);
        if (count > 20) output.line(`  and ${formatCount(count - 20)} more (--json lists them)`);
        return undefined;
      }),
    );
}

function parseAge(text: string, idle: boolean): number {
  const [, digits = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (factor === undefined) {
    throw new SluiceError('USAGE', `gc: --older-than ${JSON.stringify(text)} is no age.`, {
      remedy: 'Try: sluice gc --older-than 24h',
    });
  }
  const ms = Number(digits) * factor;
  if (ms < HOUR_MS && !idle) {
    throw new SluiceError(
      'USAGE',
      `gc: --older-than ${text} is under an hour, the age at which a run may still commit.`,
      {
        remedy: 'Take 1h or more, or add --idle when no extraction and no build uses this lake.',
      },
    );
  }
  return ms;
}

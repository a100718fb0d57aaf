import { openProject } from '../../infra/project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { Release } from '../../warehouse/core/release.ts';
import type { CommandHost } from '../context.ts';
import { formatBytes, formatTable } from '../table.ts';

export function registerReleases({ program, action }: CommandHost): void {
  program
    .command('releases')
    .summary('list the published releases')
    .description(
      'Lists releases, newest first. The first one is what readers see; `sluice rollback` makes an earlier one current again.',
    )
    .option('--limit <count>', 'how many to show', '20')
    .option('--discard <name>', 'let go of this private release; its files go with the next gc')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice releases\n  $ sluice releases --limit 3 --json\n  $ sluice releases --discard new-totals',
    )
    .action(
      action<{ limit: string; discard?: string }>(async ({ config, output, log }, options) => {
        const limit = Number(options.limit);
        if (!Number.isSafeInteger(limit) || limit < 1) {
          throw new SluiceError(
            'USAGE',
            `releases: --limit ${JSON.stringify(options.limit)} is not a count from 1 on.`,
            {
              remedy: 'Try: sluice releases --limit 3',
            },
          );
        }
        const { releases } = openProject(config, log);
        if (options.discard !== undefined) await releases.privates.discard(options.discard);
        const found: Release[] = [];
        for await (const release of releases.list()) {
          if (found.length >= limit) break;
          found.push(release);
        }
        const privates = await Array.fromAsync(releases.privates.list());
        const current = (await releases.current())?.number ?? 0;
        output.result({
          releases: found.map((release) => summarizeRelease(release)),
          private: privates.map((release) => ({
            name: release.name,
            version: release.version,
            base: release.base,
            made_at: release.madeAt,
            as_of: release.asOf,
            can_be_promoted: release.base === current,
          })),
        });
        if (options.discard !== undefined) output.line(`Private release ${options.discard} is discarded.`);
        if (found.length === 0) output.line('No release yet: sluice run makes the first.');
        else output.line(formatReleases(found));
        for (const { name, version, base, asOf } of privates) {
          const state =
            base === current ? `sluice promote ${name} publishes it` : 'its base is no longer current: build it again';
          output.line(`private ${name}: ${version}, on release ${base}, as of ${asOf}; ${state}`);
        }
        return undefined;
      }),
    );
}

/** The facts of a release that a list shows. */
export function summarizeRelease(release: Release) {
  return {
    number: release.number,
    version: release.version,
    kind: release.kind,
    published_at: release.publishedAt,
    as_of: release.asOf,
    commits: release.commits,
    models: release.models.length,
    tests: release.tests.length,
    warnings: release.tests.filter((test) => test.status === 'warn').length,
    bytes: release.files.silver.bytes + release.files.gold.bytes,
  };
}

function formatReleases(releases: readonly Release[]): string {
  return formatTable(releases, [
    { title: 'release', value: (release) => `${release.number}${release === releases[0] ? ' ←' : ''}` },
    { title: 'version', value: (release) => release.version },
    { title: 'published', value: (release) => release.publishedAt.slice(0, 19).replace('T', ' ') },
    { title: 'as of', value: (release) => release.asOf },
    { title: 'how', value: (release) => release.kind },
    { title: 'models', value: (release) => String(release.models.length), align: 'right' },
    { title: 'tests', value: (release) => String(release.tests.length), align: 'right' },
    {
      title: 'size',
      value: (release) => formatBytes(release.files.silver.bytes + release.files.gold.bytes),
      align: 'right',
    },
  ]);
}

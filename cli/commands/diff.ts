import { compileOnBronze } from '../../infra/compile-project.ts';
import { openProject, type Project } from '../../infra/project.ts';
import { openWorkFolder } from '../../infra/work-folder.ts';
import { ERROR_CODES, isSluiceError, SluiceError } from '../../warehouse/core/errors.ts';
import type { Release } from '../../warehouse/core/release.ts';
import { diffWarehouses } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { printDifferences } from '../difference-report.ts';
import { toSnakeCase } from '../output.ts';
import { createProgressView } from '../progress.ts';
import { readSample } from '../sample-option.ts';
import { formatCounted } from '../table.ts';
import { currentRelease } from '../warehouse-session.ts';

interface DiffCommandOptions {
  readonly private?: string;
  readonly model?: readonly string[];
  readonly sample: string;
  readonly exitCode?: true;
}

/** One side of the comparison. */
type Compared = Pick<Release, 'files' | 'models' | 'datasets'> & {
  readonly title: string;
  /** The newest release number whose content is surely that of the log: a private release goes its own way from there. */
  readonly common: number;
};

export function registerDiff({ program, action }: CommandHost): void {
  program
    .command('diff')
    .summary('what differs between two releases: models, rows, columns')
    .description(
      'Compares two releases table by table: rows added, removed and changed by key (as bags where no key holds), how many rows of each column changed, some rows, and differences of schema. Without numbers: the version before the current one against the current one. Views are compared by their SQL.',
    )
    .argument('[before]', 'number of a release (default: the version before the current one)')
    .argument('[after]', 'number of a release (default: the current one)')
    .option('--private <name>', 'the current release against this private one')
    .option('--model <name...>', 'only these models')
    .option('--sample <count>', 'rows shown per model and kind of difference, 0 to 1000', '5')
    .option('--exit-code', 'exit with 1 when anything differs; without it a difference is no failure')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice diff\n  $ sluice diff 3 7 --model gold.fct_transactions --sample 20\n  $ sluice diff --private new-totals\n  $ sluice diff --exit-code --json',
    )
    .action(
      action<DiffCommandOptions>(async ({ config, output, log, signal }, options, numbers) => {
        const sample = readSample('diff', options.sample);
        const project = openProject(config, log);
        const [before, after] = await chooseSides(project, options.private, numbers);
        const view = createProgressView(output);
        const work = await openWorkFolder(config);
        try {
          const differences = await diffWarehouses({
            before: { paths: await project.releases.fetch(before), models: before.models },
            after: { paths: await project.releases.fetch(after), models: after.models },
            keys: await keysOf(project, before, after),
            ...(options.model && { only: options.model }),
            // A data version is the number of the release that wrote it: one number, one content, up to where the two part.
            isSameVersion: (old, now) =>
              old.dataVersion === now.dataVersion && old.dataVersion <= Math.min(before.common, after.common),
            sample,
            workDir: work.dir,
            limits: { threads: config.threads, memoryLimitMb: config.memoryMb },
            onProgress: view.onProgress,
            signal,
          });
          view.done();
          const different = differences.filter(({ kind }) => kind !== 'same');
          output.result({
            before: before.title,
            after: after.title,
            equal: different.length === 0,
            models: toSnakeCase(different),
            same: differences.filter(({ kind }) => kind === 'same').map(({ model }) => model),
          });
          output.line(
            `${before.title} → ${after.title}: ${formatCounted(different.length, 'model')} of ${differences.length} differ\n`,
          );
          printDifferences(output, differences);
          return different.length > 0 && options.exitCode === true ? ERROR_CODES.VERIFY_DIFFERENT.exit : 0;
        } finally {
          view.done();
          await work.remove();
        }
      }),
    );
}

async function chooseSides(
  project: Project,
  privateName: string | undefined,
  numbers: readonly string[],
): Promise<readonly [Compared, Compared]> {
  const current = await currentRelease(project);
  if (privateName !== undefined) {
    if (numbers.length > 0) {
      throw new SluiceError('USAGE', 'diff: --private compares with the current release; numbers do not go with it.', {
        remedy: `Try: sluice diff --private ${privateName}`,
      });
    }
    const { files, models, datasets, base } = await project.releases.privates.get(privateName);
    return [
      toSide(current),
      { files, models, datasets, title: `private ${privateName} (on release ${base})`, common: base },
    ];
  }
  const [before, after] = numbers.map(toNumber);
  const newer = after === undefined ? current : await project.releases.get(after);
  const older = before === undefined ? await versionBefore(project, newer) : await project.releases.get(before);
  return [toSide(older), toSide(newer)];
}

function toSide(release: Release): Compared {
  const { files, models, datasets, number } = release;
  return { files, models, datasets, title: `release ${number}`, common: Number.POSITIVE_INFINITY };
}

/** The newest release before this one that is of another version. */
async function versionBefore({ releases }: Project, { number, version }: Release): Promise<Release> {
  for await (const release of releases.list()) {
    if (release.number < number && release.version !== version) return release;
  }
  throw new SluiceError('RELEASE_NOT_FOUND', `There is no version before release ${number} to compare with.`, {
    remedy: 'sluice releases lists what there is.',
  });
}

function toNumber(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new SluiceError('USAGE', `diff: ${JSON.stringify(text)} is not the number of a release.`, {
    remedy: 'sluice releases shows the numbers.',
  });
}

/** Keys as the project declares them now; where it does not compile, those of the datasets. A key that does not hold on both sides is not used. */
async function keysOf(
  project: Project,
  ...sides: readonly Compared[]
): Promise<ReadonlyMap<string, readonly string[]>> {
  const keys = new Map<string, readonly string[]>(
    sides.flatMap(({ datasets }) => datasets.map(({ id, key }) => [`gold.${id}`, key] as const)),
  );
  try {
    const { compiled } = await compileOnBronze(project);
    for (const { name, key } of compiled.models) if (key.length > 0) keys.set(name, key);
  } catch (error) {
    if (!isSluiceError(error)) throw error;
    project.log.warn({ code: error.code }, 'the project does not compile: keys are those of the datasets');
  }
  return keys;
}

import { openProject } from '../../infra/project.ts';
import { SluiceError } from '../../warehouse/core/errors.ts';
import type { Release } from '../../warehouse/core/release.ts';
import type { CommandHost } from '../context.ts';
import { summarizeRelease } from './releases.ts';

export function registerRollback({ program, action }: CommandHost): void {
  program
    .command('rollback')
    .summary('make an earlier release current again')
    .description(
      'Appends one pointer to an earlier release; nothing is copied or deleted. Without a number: the version before the current one. The next build starts from it.',
    )
    .argument('[release]', 'number of the release, as `sluice releases` shows it')
    .addHelpText('after', '\nExamples:\n  $ sluice rollback\n  $ sluice rollback 7')
    .action(
      action(async ({ config, output, log }, _options, [wanted]) => {
        const { releases } = openProject(config, log);
        const current = await releases.current();
        if (current === undefined)
          throw new SluiceError('NO_RELEASE', 'There is no release to roll back from.', {
            remedy: 'sluice run makes the first.',
          });
        const target = wanted === undefined ? await findPrevious(releases.list(), current) : toNumber(wanted);
        const release = await releases.rollback(target);
        output.result({ release: summarizeRelease(release), rolled_back_to: target, was: current.number });
        output.line(
          release.number === current.number
            ? `Release ${target} is current already (${release.version}).`
            : `Release ${release.number} is current: the version of release ${target} (${release.version}, as of ${release.asOf}).`,
        );
        return undefined;
      }),
    );
}

/** The version published before the current one, so that a second rollback goes further back instead of forth again. */
async function findPrevious(list: AsyncIterable<Release>, current: Release): Promise<number> {
  let passed = false;
  for await (const release of list) {
    if (release.kind !== 'publish') continue;
    if (passed) return release.number;
    passed = release.version === current.version;
  }
  throw new SluiceError(
    'RELEASE_NOT_FOUND',
    `Release ${current.number} (${current.version}) has no version before it to roll back to.`,
    { remedy: 'sluice releases lists what there is; sluice rollback NUMBER makes any of them current.' },
  );
}

function toNumber(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new SluiceError('USAGE', `rollback: ${JSON.stringify(text)} is not the number of a release.`, {
    remedy: 'sluice releases shows the numbers.',
  });
}

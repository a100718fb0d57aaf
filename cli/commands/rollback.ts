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

async function findPrevious(list: AsyncIterable<Release>, current: Release): Promise<number> {
  for await (const release of list) {
    // Versions begin with their instant, so that they sort by age; a second rollback goes further back instead of forth again.
    if (release.kind === 'publish' && release.version < current.version) return release.number;
  }
  throw new SluiceError('RELEASE_NOT_FOUND', `Release ${current.number} is the only version there is.`, {
    remedy: 'sluice releases lists what can be rolled back to.',
  });
}

function toNumber(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new SluiceError('USAGE', `rollback: ${JSON.stringify(text)} is not the number of a release.`, {
    remedy: 'sluice releases shows the numbers.',
  });
}

import { openProject } from '../../infra/project.ts';
import { isSluiceError, SluiceError } from '../../warehouse/core/errors.ts';
import type { CommandHost } from '../context.ts';
import { summarizeRelease } from './releases.ts';

export function registerPromote({ program, action }: CommandHost): void {
  program
    .command('promote')
    .summary('publish a private release as it is')
    .description(
      'Makes a private release (sluice build --private) the current one: exactly the files that were built, tested and looked at; nothing is computed or copied. Only while the release it was built on is still current; else it is to be built again on the new one. One conditional write decides, as with every publication.',
    )
    .argument('<name>', 'the private release')
    .addHelpText('after', '\nExamples:\n  $ sluice promote new-totals')
    .action(
      action(async ({ config, output, log }, _options, [name = '']) => {
        const { releases } = openProject(config, log);
        const release = await releases.privates.promote(name).catch((error: unknown) => {
          if (!isSluiceError(error, 'RELEASE_CONFLICT')) throw error;
          throw new SluiceError(
            'RELEASE_CONFLICT',
            `The private release ${name} cannot be promoted. ${error.message}`,
            {
              remedy: `Build it again on the newest release: sluice build --private ${name}`,
              details: error.details,
              cause: error,
            },
          );
        });
        output.result({ promoted: name, release: summarizeRelease(release) });
        output.line(
          `Release ${release.number} is current: ${release.version}, as of ${release.asOf}, promoted from ${name}.`,
        );
        return undefined;
      }),
    );
}

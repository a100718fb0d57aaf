import type { Config } from '../../infra/config.ts';
import { openProject, type Project } from '../../infra/project.ts';
import type { CommandHost } from '../context.ts';
import {
  checkFolder,
  checkModels,
  checkNode,
  checkPort,
  checkRelease,
  checkSecret,
  checkSource,
} from '../doctor-checks.ts';
import { type Finding, type Outcome, observe, printFinding } from '../doctor-findings.ts';
import { checkLake } from '../doctor-lake.ts';

export function registerDoctor({ program, action }: CommandHost): void {
  program
    .command('doctor')
    .summary('check configuration and servers, and say how to mend what fails')
    .description(
      'Tries every part that a run needs and says, for each, whether it works, what it found and how to mend it: the lake, the source, the models, and the Temporal server where one is named. Changes no data: an embedded Postgres is started for a moment, and a lake in S3 gets one small object that is removed again. Exit code 1 when something fails.',
    )
    .addHelpText('after', '\nExamples:\n  $ sluice doctor\n  $ sluice doctor --json')
    .action(
      action(async ({ config, output, log }) => {
        const findings: Finding[] = [];
        for await (const finding of examine(config, openProject(config, log))) {
          findings.push(finding);
          printFinding(output, finding);
        }
        const failed = findings.filter((finding) => finding.status === 'fail').length;
        output.result({ ok: failed === 0, findings });
        output.line(
          failed === 0 ? '\nEverything a run needs is there.' : `\n${failed} of ${findings.length} checks failed.`,
        );
        return failed === 0 ? 0 : 1;
      }),
    );
}

async function* examine(config: Config, project: Project): AsyncGenerator<Finding> {
  yield observe('node', checkNode);
  yield observe('configuration', async () => ({ status: 'ok', detail: `project ${config.projectDir}` }));
  const lake = await observe('lake', () => checkLake(project));
  yield lake;
  // A server that is away is waited for by each that asks it; once is enough.
  const hasLake = config.lake.kind === 'folder' || lake.status !== 'fail';
  const onLake = async (look: () => Promise<Outcome>): Promise<Outcome> =>
    hasLake ? look() : { status: 'warn', detail: 'not looked at: the lake failed' };
  yield observe('cache', () => checkFolder(config.cacheDir, 'SLUICE_CACHE'));
  yield observe('source', () => checkSource(project, hasLake));
  yield observe('models', () => onLake(() => checkModels(project)));
  yield observe('release', () => onLake(() => checkRelease(project)));
  // The client's libraries take half a second to load: here, and not whenever the command line starts.
  const { checkTemporal } = await import('../doctor-temporal.ts');
  yield* checkTemporal(config);
  yield observe('token secret', () => checkSecret(config));
  yield observe('port', () => checkPort(config));
}

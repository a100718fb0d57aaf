import { findBronzeTables } from '../../infra/compile-project.ts';
import { openProject } from '../../infra/project.ts';
import { formatLocation, lintProject, loadProject } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { formatCounted } from '../table.ts';

export function registerLint({ program, action }: CommandHost): void {
  program
    .command('lint')
    .summary('what the compiler refuses, and what could be better')
    .description(
      'Reports every problem of the models at its place: what does not compile as errors, style as warnings. A header silences rules of its own file: `lint: { allow: [unused_cte] }`. Exit code 2 with errors, 1 with warnings under --strict, else 0.',
    )
    .option('--strict', 'exit code 1 when there are warnings')
    .addHelpText('after', '\nExamples:\n  $ sluice lint\n  $ sluice lint --strict\n  $ sluice lint --json')
    .action(
      action<{ strict?: boolean }>(async ({ config, output, log }, options) => {
        const { bronzeTables } = await findBronzeTables(openProject(config, log));
        const findings = await lintProject({ files: await loadProject(config.projectDir), bronzeTables });
        const errors = findings.filter(({ severity }) => severity === 'error').length;
        const warnings = findings.length - errors;
        output.result({
          errors,
          warnings,
          findings: findings.map(({ excerpt: _excerpt, at, ...finding }) => ({ ...finding, ...at })),
        });
        for (const { severity, rule, message, at, remedy, excerpt } of findings)
          output.line(
            `${formatLocation(at)}: ${severity} ${rule}: ${message}\n${excerpt}\n  ${remedy.replaceAll('\n', '\n  ')}`,
          );
        output.line(`${formatCounted(errors, 'error')}, ${formatCounted(warnings, 'warning')}.`);
        if (errors > 0) return 2;
        return options.strict === true && warnings > 0 ? 1 : 0;
      }),
    );
}

import { openProject } from '../../infra/project.ts';
import { runProjectUnitTests } from '../../infra/run-unit-tests.ts';
import { ERROR_CODES } from '../../warehouse/core/errors.ts';
import type { UnitTestResult } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { formatCounted, formatDuration } from '../table.ts';
import { formatUnitFailure } from '../unit-report.ts';

export function registerTest({ program, action }: CommandHost): void {
  program
    .command('test')
    .summary('run the unit tests of the models: rows in, rows out')
    .description(
      'Runs sql/unit/*/test.yaml: the given rows become bronze files, the build engine runs over them in a folder of its own, and the tables must hold the expected rows. Needs neither Postgres nor a lake. Exit code 1 when a test fails. The tests of the data itself run in every build (sluice run, sluice build).',
    )
    .option('--select <name...>', 'only these: a folder of sql/unit, or a model whose rows are expected')
    .addHelpText(
      'after',
      '\nExamples:\n  $ sluice test\n  $ sluice test --select monthly_trends\n  $ sluice test --select gold.fct_monthly_trends --json',
    )
    .action(
      action<{ select?: string[] }>(async ({ config, output, log, signal }, { select }) => {
        const started = performance.now();
        const results = await runProjectUnitTests(openProject(config, log), {
          select,
          signal,
          onResult: (result) => output.line(formatResult(result)),
        });
        const failed = results.filter(({ status }) => status === 'fail').length;
        const passed = results.length - failed;
        output.result({ passed, failed, tests: toSnakeCase(results) });
        output.line(
          results.length === 0
            ? 'No unit tests: sql/unit/<name>/test.yaml is where they go (docs/testing.md).'
            : `\n${formatCounted(passed, 'test')} passed, ${failed} failed, in ${formatDuration(performance.now() - started)}.`,
        );
        return failed === 0 ? 0 : ERROR_CODES.UNIT_TESTS_FAILED.exit;
      }),
    );
}

function formatResult({ name, file, mode, status, ms, failures }: UnitTestResult): string {
  const line = `${status === 'pass' ? 'ok  ' : 'FAIL'} ${name} (${mode}, ${formatDuration(ms)})`;
  if (failures.length === 0) return line;
  return [line, `     ${file}`, ...failures.map((failure) => formatUnitFailure(failure, '     '))].join('\n');
}

import { formatProject, loadProject } from '../../warehouse/transform/index.ts';
import type { CommandHost } from '../context.ts';
import { formatCounted } from '../table.ts';

export function registerFmt({ program, action }: CommandHost): void {
  program
    .command('fmt')
    .summary('lay out the SQL of models and tests')
    .description(
      'Lays out models and tests: keywords in lower case, one clause per line, comments kept. A file is written only when DuckDB parses the same query from it before and after; else it is left and named.',
    )
    .option('--check', 'write nothing; exit code 1 when a file is not laid out')
    .addHelpText('after', '\nExamples:\n  $ sluice fmt\n  $ sluice fmt --check')
    .action(
      action<{ check?: boolean }>(async ({ config, output }, options) => {
        const check = options.check === true;
        const report = await formatProject(config.projectDir, await loadProject(config.projectDir), { check });
        output.result({ check, ...report });
        for (const file of report.changed) output.line(`${check ? 'would change' : 'changed'} ${file}`);
        for (const { file, why } of report.left) output.line(`left ${file}: ${why}`);
        output.line(
          `${formatCounted(report.changed.length, 'file')} ${check ? 'to change' : 'changed'}, ${report.unchanged} as they should be, ${report.left.length} left.`,
        );
        return report.left.length > 0 || (check && report.changed.length > 0) ? 1 : 0;
      }),
    );
}

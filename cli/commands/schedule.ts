import type { AppliedSchedule } from '../../infra/temporal-schedules.ts';
import type { CommandHost } from '../context.ts';
import { toSnakeCase } from '../output.ts';
import { formatTable } from '../table.ts';

export function registerSchedule({ program, action }: CommandHost): void {
  const schedule = program
    .command('schedule')
    .summary('bring the server’s schedules to what temporal.config.ts says')
    .description('Schedules of the Temporal server. They live in temporal.config.ts (SCHEDULES).')
    .addHelpText('after', '\nExamples:\n  $ sluice schedule apply\n  $ sluice schedule apply --json');
  schedule
    .command('apply')
    .summary('create or update them')
    .description(
      'Creates the schedules or updates them; safe to repeat. A pause that somebody set stays. One run at a time: a run that takes longer is followed by one more, missed instants of the last 12 h are made up for.',
    )
    .action(
      action(async ({ config, output }) => {
        const { connectTemporal } = await import('../../infra/temporal-connection.ts');
        const { applySchedules } = await import('../../infra/temporal-schedules.ts');
        const { ensureSearchAttributes } = await import('../../infra/temporal-search-attributes.ts');
        const temporal = await connectTemporal(config);
        try {
          await ensureSearchAttributes(config);
          const applied = await applySchedules(temporal);
          output.result(toSnakeCase({ schedules: applied }));
          output.line(
            formatTable<AppliedSchedule>(applied, [
              { title: 'schedule', value: (one) => one.id },
              { title: 'when', value: (one) => `${one.cron} ${one.timeZone}` },
              { title: '', value: (one) => (one.created ? 'created' : 'updated') },
              {
                title: 'next',
                value: (one) =>
                  one.paused
                    ? `paused${one.note === null ? '' : `: ${one.note}`}`
                    : (one.next?.slice(0, 16).replace('T', ' ') ?? 'never'),
              },
            ]),
          );
        } finally {
          await temporal.close();
        }
        return undefined;
      }),
    );
}

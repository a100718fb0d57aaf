import { type Day, instant, isLastOfMonth, isoDate } from './calendar.ts';
import type { Entity } from './entity.ts';
import { type Household, syncsOn } from './household.ts';
import { isReportDay } from './life.ts';
import { createLedger, type Movement } from './movement.ts';
import { createRandom } from './random.ts';
import { money } from './rows.ts';

/** The balances that the banks report: mostly what the booked transactions add up to, now and then something else. */
export function snapshotEntities(household: Household, movements: readonly Movement[], lastDay: Day): Entity[] {
  const owner = { org_id: household.org.id, user_id: household.userId };
  const entities: Entity[] = [];
  for (const [place, account] of household.accounts.entries()) {
    const { connection } = account;
    if (connection === undefined) continue;
    const random = createRandom(household.world.seed, 'snapshots', household.index, place);
    const balanceOn = createLedger(
      account,
      movements.filter((movement) => movement.account === account),
    );
    const isMonthly = account.kind === 'loan' || account.kind === 'investment';
    for (
      let day = Math.max(account.openedDay, household.startDay);
      day <= Math.min(lastDay, account.closedDay);
      day += 1
    ) {
      const reports = isMonthly
        ? isLastOfMonth(day)
        : isReportDay(day) || (household.index === 0 && day > household.world.epoch - 90);
      const balance = balanceOn(day);
      if (!reports || !syncsOn(connection, day)) continue;
      // The market moves an investment; elsewhere the bank knows of something that never reaches the application.
      const drift =
        isMonthly && random.chance(0.3)
          ? Math.round(balance * 0.01)
          : random.chance(0.025)
            ? random.int(-5000, 5000)
            : 0;
      const coin = household.org.kind.coin;
      const reportedAt = instant(day, random.int(70_000_000_000, 85_000_000_000));
      const row = {
        id: random.uuid(),
        ...owner,
        account_id: account.id,
        as_of: isoDate(day),
        balance: money(balance + Math.round(drift / coin) * coin),
        currency: account.currency,
        created_at: reportedAt,
        updated_at: reportedAt,
      };
      entities.push({
        table: 'balance_snapshots',
        at: (today) => (today < day ? undefined : row),
        mayChangeOn: (today) => today === day,
      });
    }
  }
  return entities;
}

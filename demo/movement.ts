import { type Day, instant, isoDate } from './calendar.ts';
import { type Entity, latestInstant, NEVER } from './entity.ts';
import type { Account, Household, Tag } from './household.ts';
import { money, type Row } from './rows.ts';

/**
 * A movement of money as it truly is, and when the application learns of it:
 *
 *   arrives ─ pending? ─ settles ─ wrong? ─ corrected ─ stays, or is deleted as a double
 */
export interface Movement {
  readonly id: string;
  readonly account: Account;
  /** As the bank books it. */
  readonly bookingDay: Day;
  readonly valueDay: Day | undefined;
  /** Hundredths. */
  readonly amount: number;
  readonly description: string;
  readonly merchant: string | null;
  readonly category: string | null;
  readonly externalId: string | null;
  /** False for rows that the bank never booked: doubles and authorisations that lapse. */
  readonly isBooked: boolean;
  readonly arriveDay: Day;
  /** Day on which the bank books it, when it arrives pending; before that it shows these. */
  readonly settleDay: Day;
  readonly pendingDay: Day;
  readonly pendingAmount: number;
  /** What it says until it is corrected. */
  readonly correctDay: Day;
  readonly wrong: {
    readonly amount?: number;
    readonly bookingDay?: Day;
    readonly category?: string | null;
    readonly description?: string;
  };
  readonly deleteDay: Day;
  readonly links: readonly { readonly tag: Tag; readonly from: Day; readonly until: Day }[];
  /** Microseconds of its day. */
  readonly time: number;
}

/** The rows of a movement: the transaction and its links to tags. */
export function movementEntities(household: Household, movement: Movement): Entity[] {
  const owner = { org_id: household.org.id, user_id: household.userId };
  const { arriveDay, settleDay, correctDay, deleteDay, time } = movement;
  const transaction: Entity = {
    table: 'transactions',
    mayChangeOn: (day) => day === arriveDay || day === settleDay || day === correctDay || day === deleteDay,
    at: (day) => (day < arriveDay || day >= deleteDay ? undefined : transactionRow(movement, owner, day)),
  };
  const links = movement.links.map(({ tag, from, until }): Entity => {
    const begin = Math.max(from, arriveDay, tag.createdDay);
    const end = Math.min(until, deleteDay, tag.deletedDay);
    const row =
      begin < end
        ? { ...owner, transaction_id: movement.id, tag_id: tag.id, created_at: instant(begin, time + 5_000_000) }
        : undefined;
    return {
      table: 'transaction_tags',
      mayChangeOn: (day) => day === begin || day === end,
      at: (day) => (day < begin || day >= end ? undefined : row),
    };
  });
  return [transaction, ...links];
}

function transactionRow(
  movement: Movement,
  owner: { readonly org_id: number; readonly user_id: string },
  day: Day,
): Row {
  const { account, valueDay, arriveDay, settleDay, correctDay, time, merchant, externalId } = movement;
  const pending = day < settleDay;
  const wrong = day < correctDay ? movement.wrong : {};
  const amount = wrong.amount ?? (pending ? movement.pendingAmount : movement.amount);
  const bookingDay = wrong.bookingDay ?? (pending ? movement.pendingDay : movement.bookingDay);
  return {
    id: movement.id,
    ...owner,
    account_id: account.id,
    booking_date: isoDate(bookingDay),
    value_date: pending || valueDay === undefined ? null : isoDate(valueDay),
    amount: money(amount),
    currency: account.currency,
    description: wrong.description ?? movement.description,
    merchant,
    category: wrong.category === undefined ? movement.category : wrong.category,
    pending,
    external_id: externalId,
    created_at: instant(arriveDay, time),
    updated_at: latestInstant(day, time, arriveDay, settleDay, correctDay),
  };
}

/** The bank's closing balance of an account by day, to ask in ascending order of days. */
export function createLedger(account: Account, movements: readonly Movement[]): (day: Day) => number {
  const booked = movements.filter((movement) => movement.isBooked).sort((a, b) => a.bookingDay - b.bookingDay);
  let balance = account.opening;
  let next = 0;
  return (day) => {
    for (let movement = booked[next]; movement !== undefined && movement.bookingDay <= day; movement = booked[next]) {
      balance += movement.amount;
      next += 1;
    }
    return balance;
  };
}

export const SETTLED_AT_ONCE: Day = Number.NEGATIVE_INFINITY;
export const NOTHING_WRONG = { correctDay: NEVER, wrong: {} } as const;

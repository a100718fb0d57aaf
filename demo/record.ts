import { type Day, nextBusinessDay } from './calendar.ts';
import { ODD_DESCRIPTIONS } from './catalog.ts';
import { NEVER } from './entity.ts';
import { type Account, type Household, syncsOn } from './household.ts';
import { type Movement, NOTHING_WRONG, SETTLED_AT_ONCE } from './movement.ts';
import type { Random } from './random.ts';

/** What happened, before the bank and the application make of it what they do. */
export interface Event {
  readonly account: Account;
  /** When the bank books it, at the earliest. */
  readonly day: Day;
  readonly amount: number;
  readonly category: string;
  readonly merchant?: string;
  readonly description: string;
  /** card: may be pending for some days and may lapse. announced: known two days ahead. */
  readonly manner?: 'card' | 'announced' | 'plain';
  /** Places of the first user's purchases of a day near the epoch: each kind of change then happens on every day. */
  readonly place?: number;
}

/** Decides how an event reaches the application: late, pending, wrong at first, twice, tagged. */
export function recordEvent(household: Household, random: Random, event: Event): Movement[] {
  const movement = settle(household, random, event);
  const changed = misread(random, event, movement);
  const tagged = { ...changed, links: linkTags(household, random, event, changed) };
  const hasDouble = event.place === undefined ? random.chance(0.006) : event.place === 1;
  if (!hasDouble || tagged.deleteDay !== NEVER) return [tagged];
  return [tagged, doubleOf(tagged, random, event.place === undefined ? random.int(1, 10) : 2)];
}

function settle(household: Household, random: Random, event: Event): Movement {
  const { account, day, amount } = event;
  const { connection } = account;
  const base = {
    id: random.uuid(),
    account,
    amount,
    isBooked: true,
    merchant: event.merchant ?? null,
    category: random.chance(0.1) ? null : event.category,
    description: random.chance(0.012) ? random.pick(ODD_DESCRIPTIONS) : event.description,
    externalId: connection === undefined ? null : `${connection.provider}-${random.int(1e11, 1e12 - 1)}`,
    pendingDay: day,
    pendingAmount: amount,
    settleDay: SETTLED_AT_ONCE,
    deleteDay: NEVER,
    links: [],
    ...NOTHING_WRONG,
    time: random.int(18_000_000_000, 79_000_000_000),
  };
  const valueDay = random.chance(0.15) ? undefined : day + (random.chance(0.2) ? 1 : 0);
  if (connection === undefined) {
    // typed in, often some days later
    const arriveDay = day + (random.chance(0.4) ? random.int(1, 4) : 0);
    return { ...base, bookingDay: day, valueDay: undefined, arriveDay: Math.max(arriveDay, household.startDay) };
  }
  const late = event.place === undefined ? (random.chance(0.04) ? random.int(2, 12) : 0) : event.place === 0 ? 3 : 0;
  if (connection.provider !== 'plaid' || late > 0 || event.place !== undefined) {
    return { ...base, bookingDay: day, valueDay, arriveDay: nextSync(account, day + late) };
  }
  if (event.manner === 'announced') {
    const bookingDay = nextBusinessDay(day + 2);
    const known = nextSync(account, day);
    // The bank mostly marks what is yet to come as pending, but not always.
    const settleDay = random.chance(0.8) ? nextSync(account, bookingDay) : SETTLED_AT_ONCE;
    return { ...base, bookingDay, valueDay: bookingDay, pendingDay: bookingDay, arriveDay: known, settleDay };
  }
  if (event.manner !== 'card' || random.chance(0.35)) {
    return { ...base, bookingDay: day, valueDay, arriveDay: nextSync(account, day) };
  }
  const bookingDay = nextBusinessDay(day + random.int(1, 3));
  const settleDay = nextSync(account, bookingDay);
  const pending = { ...base, bookingDay, valueDay: bookingDay, settleDay, arriveDay: nextSync(account, day) };
  if (random.chance(0.03)) return { ...pending, isBooked: false, settleDay: NEVER, deleteDay: settleDay };
  // The authorisation knows nothing of the tip.
  const hasTip = event.category === 'dining' && random.chance(0.4);
  const coin = household.org.kind.coin;
  return hasTip ? { ...pending, pendingAmount: Math.round((amount * 0.88) / coin) * coin } : pending;
}

/** First day from `day` on which the account's rows come in. */
function nextSync(account: Account, day: Day): Day {
  const { connection } = account;
  if (connection === undefined || day >= connection.revokedDay) return day;
  let arrival = Math.max(day, connection.openedDay);
  while (!syncsOn(connection, arrival) && arrival < connection.revokedDay) arrival += 1;
  return arrival;
}

/** Some rows say something wrong until they are corrected. */
function misread(random: Random, event: Event, movement: Movement): Movement {
  const isForced = event.place === 2;
  if (movement.deleteDay !== NEVER || !(isForced || random.chance(0.018))) return movement;
  const begin = Math.max(movement.arriveDay, movement.settleDay);
  const correctDay = begin + (isForced ? 1 : random.int(1, 14));
  const what = random.next();
  if (what < 0.4)
    return { ...movement, correctDay, wrong: { category: movement.category === null ? 'shopping' : null } };
  if (what < 0.6) return { ...movement, correctDay, wrong: { description: `${movement.description}?` } };
  if (what < 0.8) return { ...movement, correctDay, wrong: { bookingDay: movement.bookingDay - 1 } };
  // two digits swapped, a sign forgotten
  const amount = random.chance(0.5) ? -movement.amount : movement.amount * 10;
  return { ...movement, correctDay, wrong: { amount } };
}

function linkTags(household: Household, random: Random, event: Event, movement: Movement): Movement['links'] {
  const links: { tag: Household['tags'][number]; from: Day; until: Day }[] = [];
  for (const tag of household.tags) {
    const fits = tag.categories.includes(event.category);
    if (!random.chance(fits ? 0.72 : 0.012)) continue;
    const from = movement.arriveDay + (random.chance(0.7) ? 0 : random.int(1, 3));
    links.push({ tag, from, until: random.chance(0.03) ? from + random.int(1, 40) : NEVER });
  }
  return links;
}

/** The same row a second time under another id, until somebody notices. */
function doubleOf(movement: Movement, random: Random, days: number): Movement {
  return {
    ...movement,
    id: random.uuid(),
    externalId: movement.externalId === null ? null : `${movement.externalId}-b`,
    isBooked: false,
    deleteDay: Math.max(movement.arriveDay, movement.settleDay) + days,
    links: [],
    ...NOTHING_WRONG,
  };
}

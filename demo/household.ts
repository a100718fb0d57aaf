import { type Day, dayOfMonth, instant, isoDate } from './calendar.ts';
import { ACCOUNT_NAMES, BANKS, TAGS } from './catalog.ts';
import { type Entity, latestInstant, NEVER } from './entity.ts';
import { createRandom, type Random } from './random.ts';
import { money } from './rows.ts';
import { HISTORY_DAYS, type Org, orgOf, signupDay, type World } from './world.ts';

/** What a user has, before anything is bought or earned: accounts, the connections that feed them, tags. */

/** What each of ten users is like; the eleventh is like the first, with other numbers. */
const LIVES = [
  'everything', // the first user of the first org: all kinds of accounts, tags, transfers; the demo shows this one
  'regular',
  'untagged', // uses no tags
  'newcomer', // there for two months only
  'empty', // signed up and added nothing
  'freelancer', // irregular income, customers who pay late, a second currency
  'quiet', // whole months without a transaction
  'borrower', // loan, credit card, fees
  'saver', // moves round sums between own accounts, several a day
  'by-hand', // uploads CSV files twice a month, types the rest in
] as const;
export type Life = (typeof LIVES)[number];

export type Role = keyof typeof ACCOUNT_NAMES;

export interface Connection {
  readonly id: string;
  readonly provider: 'csv' | 'plaid' | 'manual';
  readonly openedDay: Day;
  readonly revokedDay: Day;
  /** First and last day of each time that syncing failed. */
  readonly outages: readonly (readonly [Day, Day])[];
}

export interface Account {
  readonly id: string;
  readonly role: Role;
  readonly kind: 'checking' | 'savings' | 'credit' | 'loan' | 'investment';
  readonly currency: string;
  readonly openedDay: Day;
  /** Day of closing, NEVER while it stays. */
  readonly closedDay: Day;
  /** Hundredths. */
  readonly opening: number;
  readonly connection: Connection | undefined;
}

export interface Tag {
  readonly id: string;
  readonly categories: readonly string[];
  readonly createdDay: Day;
  readonly deletedDay: Day;
}

export interface Household {
  readonly world: World;
  readonly index: number;
  readonly life: Life;
  readonly org: Org;
  readonly userId: string;
  readonly startDay: Day;
  readonly accounts: readonly Account[];
  readonly tags: readonly Tag[];
  /** Rows of users, institutions, connections, accounts and tags. */
  readonly entities: readonly Entity[];
}

/** Above 2^53, where a JavaScript number can no longer tell neighbours apart. */
const LARGE_USER_ID = '9007199254740993';

export function lifeOf(index: number): Life {
  return LIVES[index % LIVES.length] as Life;
}

export function createHousehold(world: World, index: number): Household {
  const random = createRandom(world.seed, 'household', index);
  const life = lifeOf(index);
  const org = orgOf(world, index);
  const base = { org_id: org.id, user_id: index === 6 ? LARGE_USER_ID : String(1001 + index) };
  const startDay = signupDay(world, index);
  const draft: Draft = { world, index, life, org, base, startDay, random, entities: [], accounts: [], connections: [] };
  draft.entities.push(userEntity(draft));
  addAccounts(draft);
  const tags = life === 'untagged' || life === 'empty' ? [] : TAGS.map((_, place) => addTag(draft, place));
  const { accounts, entities } = draft;
  return { world, index, life, org, userId: base.user_id, startDay, accounts, tags, entities };
}

interface Draft {
  readonly world: World;
  readonly index: number;
  readonly life: Life;
  readonly org: Org;
  readonly base: { readonly org_id: number; readonly user_id: string };
  readonly startDay: Day;
  readonly random: Random;
  readonly entities: Entity[];
  readonly accounts: Account[];
  readonly connections: Connection[];
}

function userEntity({ world, index, base, startDay, random, org }: Draft): Entity {
  const time = random.int(25_000_000_000, 75_000_000_000);
  const created = instant(startDay, time);
  const phase = random.int(0, 44);
  // A login refreshes the hash every 45 days: the row moves although no column that leaves Postgres does.
  const logins = (day: Day): number => Math.floor((day - startDay + phase) / 45);
  const movedOn = index === 1 ? world.epoch + 2 : NEVER;
  return {
    table: 'users',
    mayChangeOn: (day) => day === startDay || day === movedOn || (day > startDay && logins(day) !== logins(day - 1)),
    at(day) {
      if (day < startDay) return undefined;
      const lastLogin = day - ((day - startDay + phase) % 45);
      return {
        id: base.user_id,
        org_id: org.id,
        email: `user${base.user_id}@${day < movedOn ? 'mail' : 'post'}.example`,
        hashed_password: `$2b$12$${createRandom(world.seed, 'hash', index, logins(day)).uuid().replaceAll('-', '')}`,
        role: index < 2 ? 'admin' : 'member',
        created_at: created,
        updated_at: lastLogin > startDay ? latestInstant(day, time, lastLogin, movedOn) : created,
      };
    },
  };
}

function addAccounts(draft: Draft): void {
  const { life, startDay, world, random } = draft;
  const { epoch } = world;
  if (life === 'empty') return;
  const first = addConnection(draft, life === 'by-hand' ? 'csv' : 'plaid', startDay, outagesOf(draft));
  const own = (role: Role, kind: Account['kind'], opening: number, more: Partial<AccountPlan> = {}): void =>
    addAccount(draft, { role, kind, opening, openedDay: startDay, connection: first, ...more });
  own('checking', 'checking', random.int(80_000, 420_000));
  if (life !== 'untagged') own('savings', 'savings', random.int(100_000, 2_000_000));
  if (life !== 'quiet' && life !== 'by-hand') own('credit', 'credit', -random.int(0, 60_000));
  if (life === 'by-hand') own('cash', 'checking', 12_000, { connection: undefined });
  if (life === 'borrower') own('loan', 'loan', -random.int(900_000, 2_400_000));
  if (life === 'saver') {
    own('reserve', 'savings', random.int(20_000, 300_000));
    own('investment', 'investment', random.int(500_000, 4_000_000));
  }
  if (life === 'freelancer') own('foreign', 'checking', 30_000, { currency: foreignOf(draft) });
  if (life !== 'everything') return;
  // A second bank that fails on the two days after the epoch, so that what happens then arrives late.
  const second = addConnection(draft, 'plaid', startDay + 20, [
    [startDay + 200, startDay + 203],
    [epoch + 1, epoch + 2],
  ]);
  const closed = epoch - 120;
  own('loan', 'loan', -1_480_000, { connection: second });
  own('investment', 'investment', 640_000, { openedDay: startDay + 20, connection: second });
  own('foreign', 'checking', 20_000, { openedDay: startDay + 20, currency: foreignOf(draft), connection: second });
  if (startDay < closed) {
    const gone = addConnection(draft, 'plaid', startDay, [], closed + 1);
    own('old', 'checking', 154_310, { closedDay: closed, connection: gone });
  }
  own('dormant', 'savings', 0, { openedDay: epoch - 2 * HISTORY_DAYS, connection: undefined });
  // Life goes on after the epoch: one account is closed, another opened.
  if (startDay < epoch - 90) own('reserve', 'savings', 50_000, { openedDay: epoch - 90, closedDay: epoch + 2 });
  own('cash', 'checking', 5_000, { openedDay: Math.max(startDay, epoch + 1), connection: undefined });
}

function foreignOf(draft: Draft): string {
  return draft.org.kind.currency === 'USD' ? 'EUR' : 'USD';
}

/** Every few months the bank's interface fails for some days. */
function outagesOf({ startDay, world, random }: Draft): [Day, Day][] {
  const outages: [Day, Day][] = [];
  for (let day = startDay + random.int(30, 150); day < world.epoch - 10; day += random.int(90, 200)) {
    outages.push([day, day + random.int(1, 5)]);
  }
  return outages;
}

function addConnection(
  draft: Draft,
  provider: Connection['provider'],
  openedDay: Day,
  outages: Connection['outages'],
  revokedDay: Day = NEVER,
): Connection {
  const { base, random, org, entities, connections } = draft;
  const institutionId = random.uuid();
  const time = random.int(14_400_000_000, 21_600_000_000);
  const institution = {
    id: institutionId,
    ...base,
    name: random.pick(BANKS),
    country: org.kind.country,
    updated_at: instant(openedDay, time),
  };
  entities.push({
    table: 'institutions',
    mayChangeOn: (day) => day === openedDay,
    at: (day) => (day < openedDay ? undefined : institution),
  });
  const connection: Connection = { id: random.uuid(), provider, openedDay, revokedDay, outages };
  connections.push(connection);
  const created = instant(openedDay, time + 30_000_000);
  entities.push({
    table: 'connections',
    mayChangeOn: (day) => day >= openedDay && day <= Math.min(revokedDay, NEVER),
    at(day) {
      if (day < openedDay) return undefined;
      let synced = Math.min(day, revokedDay - 1);
      while (synced >= openedDay && !syncsOn(connection, synced)) synced -= 1;
      const failing = outages.some(([from, to]) => day >= from && day <= to);
      const lastSynced = synced < openedDay ? null : instant(synced, time + 60_000_000);
      return {
        id: connection.id,
        ...base,
        institution_id: institutionId,
        provider,
        status: day >= revokedDay ? 'revoked' : failing ? 'error' : 'active',
        last_synced_at: lastSynced,
        created_at: created,
        updated_at: lastSynced === null ? created : instant(Math.min(day, revokedDay), time + 60_000_000),
      };
    },
  });
  return connection;
}

/** True when the connection brings rows on a day. CSV files are uploaded on the 1st and the 15th. */
export function syncsOn(connection: Connection, day: Day): boolean {
  if (day < connection.openedDay || day >= connection.revokedDay) return false;
  if (connection.provider === 'csv') return dayOfMonth(day) === 1 || dayOfMonth(day) === 15;
  return !connection.outages.some(([from, to]) => day >= from && day <= to);
}

interface AccountPlan {
  readonly role: Role;
  readonly kind: Account['kind'];
  readonly opening: number;
  readonly openedDay: Day;
  readonly closedDay?: Day;
  readonly currency?: string;
  readonly connection: Connection | undefined;
}

function addAccount(draft: Draft, plan: AccountPlan): void {
  const { base, random, org } = draft;
  const { closedDay = NEVER, currency = org.kind.currency, openedDay } = plan;
  // Opening sums are planned in euros.
  const level = currency === org.kind.currency ? org.kind.priceLevel : 1;
  const opening = Math.round((plan.opening * level) / org.kind.coin) * org.kind.coin;
  const account: Account = { ...plan, id: random.uuid(), currency, closedDay, opening };
  const name = random.pick(ACCOUNT_NAMES[plan.role]);
  const time = random.int(28_800_000_000, 72_000_000_000);
  // An account may be older than its owner's time here, and is seen when its bank is connected.
  const knownDay = Math.max(openedDay, draft.startDay, plan.connection?.openedDay ?? openedDay);
  draft.accounts.push(account);
  draft.entities.push({
    table: 'accounts',
    mayChangeOn: (day) => day === knownDay || day === closedDay,
    at(day) {
      if (day < knownDay) return undefined;
      return {
        id: account.id,
        ...base,
        connection_id: plan.connection?.id ?? null,
        name,
        kind: plan.kind,
        currency,
        opened_on: isoDate(openedDay),
        closed_on: day < closedDay ? null : isoDate(closedDay),
        opening_balance: money(opening),
        updated_at: latestInstant(day, time, knownDay, closedDay),
      };
    },
  });
}

function addTag(draft: Draft, place: number): Tag {
  const { base, random, startDay, index, world } = draft;
  const { name, color, categories } = TAGS[place] as (typeof TAGS)[number];
  const days = tagDays(draft, place, random.chance(0.06), random.int(1, 120));
  const tag: Tag = { id: random.uuid(), categories, createdDay: days.created, deletedDay: days.deleted };
  const renamedDay = place === 1 && index % 4 === 0 ? world.epoch + 2 + (index % 3) : NEVER;
  const time = random.int(28_800_000_000, 72_000_000_000);
  const created = instant(Math.max(days.created, startDay), time);
  draft.entities.push({
    table: 'tags',
    mayChangeOn: (day) => day === days.created || day === days.deleted || day === renamedDay,
    at(day) {
      if (day < days.created || day >= days.deleted) return undefined;
      return {
        id: tag.id,
        ...base,
        name: day < renamedDay ? name : `${name} & more`,
        color,
        created_at: created,
        updated_at: latestInstant(day, time, days.created, renamedDay),
      };
    },
  });
  return tag;
}

function tagDays(
  { index, startDay, world }: Draft,
  place: number,
  short: boolean,
  shortDays: number,
): { created: Day; deleted: Day } {
  // The first user makes a new tag and drops an old one right after the epoch.
  if (index === 0 && place === 7) return { created: world.epoch + 1, deleted: NEVER };
  if (index === 0 && place === 6) return { created: startDay, deleted: world.epoch + 3 };
  return { created: startDay, deleted: short ? world.epoch + shortDays : NEVER };
}

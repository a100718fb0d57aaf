import { type Day, instant } from './calendar.ts';
import { ORG_KINDS, type OrgKind } from './catalog.ts';
import { type Entity, NEVER } from './entity.ts';
import { createRandom } from './random.ts';

/** Everything the demo's data depends on. */
export interface World {
  readonly seed: number;
  readonly scale: number;
  /** The last day of the life that was loaded; evolving goes on from here. */
  readonly epoch: Day;
}

export interface Org {
  readonly id: number;
  readonly kind: OrgKind;
}

/** A year and a half: every month once, some twice. */
export const HISTORY_DAYS = 547;
const USERS_PER_SCALE = 10;

/** Users at the epoch. */
function baseUserCount(world: World): number {
  return Math.max(5, Math.round(USERS_PER_SCALE * world.scale));
}

/** Users ever by a day: after the epoch, every tenth of a household signs up each third day. */
export function userCountBy(world: World, day: Day): number {
  const rounds = Math.max(0, Math.floor((day - world.epoch) / 3));
  return baseUserCount(world) + rounds * Math.ceil(world.scale);
}

/** The day on which a user signed up. */
export function signupDay(world: World, index: number): Day {
  const base = baseUserCount(world);
  if (index >= base) return world.epoch + 3 * (1 + Math.floor((index - base) / Math.ceil(world.scale)));
  // The fourth of each ten came late; most were there from the first day.
  if (index % 10 === 3) return world.epoch - 60;
  return world.epoch - HISTORY_DAYS + 1 + (index < 2 ? 0 : createRandom(world.seed, 'signup', index).int(0, 40));
}

function orgsOf(world: World): readonly Org[] {
  const count = 3 + Math.floor(baseUserCount(world) / 100);
  return Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    kind: ORG_KINDS[index % ORG_KINDS.length] as OrgKind,
  }));
}

export function orgOf(world: World, index: number): Org {
  const orgs = orgsOf(world);
  // Half of the first ten share the first org, so that it has several users.
  const place = index % 2 === 0 ? 0 : 1 + (((index - 1) / 2) % (orgs.length - 1));
  return orgs[index < 10 ? place : index % orgs.length] as Org;
}

export function orgEntities(world: World): Entity[] {
  const founded = world.epoch - HISTORY_DAYS - 30;
  return orgsOf(world).map((org, index) => {
    const created = instant(founded, 36_000_000_000 + index * 61_234_567);
    const name =
      index < ORG_KINDS.length ? org.kind.name : `${org.kind.name} ${1 + Math.floor(index / ORG_KINDS.length)}`;
    const row = {
      id: org.id,
      name,
      time_zone: org.kind.timeZone,
      currency: org.kind.currency,
      created_at: created,
      updated_at: created,
    };
    // The second org takes a new name on the fourth day after the epoch.
    const renamedOn = index === 1 ? world.epoch + 4 : NEVER;
    const renamed = { ...row, name: `${name} Ltd.` };
    return { table: 'orgs', at: (day) => (day < renamedOn ? row : renamed), mayChangeOn: (day) => day === renamedOn };
  });
}

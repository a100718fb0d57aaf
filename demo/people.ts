import type { Day } from './calendar.ts';
import type { Entity } from './entity.ts';
import { createHousehold } from './household.ts';
import { liveThrough } from './life.ts';
import { movementEntities } from './movement.ts';
import { snapshotEntities } from './snapshots.ts';
import { userCountBy, type World } from './world.ts';

/** All rows of one user after the other, orgs left out, each with its life up to a day. */
export function* peopleThrough(
  world: World,
  lastDay: Day,
): Generator<{ readonly orgId: number; readonly entities: readonly Entity[] }> {
  const count = userCountBy(world, lastDay);
  for (let index = 0; index < count; index += 1) {
    const household = createHousehold(world, index);
    const movements = liveThrough(household, lastDay);
    const entities = [...household.entities];
    for (const movement of movements) entities.push(...movementEntities(household, movement));
    entities.push(...snapshotEntities(household, movements, lastDay));
    yield { orgId: household.org.id, entities };
  }
}

import type { CatalogTable } from './catalog.ts';
import type { SourceSession } from './source-session.ts';
import type { TableShape } from './table-shape.ts';

/** Either the proof that a database trigger sets the cursor of every row, as a text that changes when anything of it is touched, or why not. */
export type CursorProof = { readonly proof: string } | { readonly why: string };

interface TriggerRow {
  readonly relation: string;
  readonly name: string;
  readonly insert: boolean;
  readonly update: boolean;
  readonly always: boolean;
  readonly narrowed: boolean;
  readonly language: string;
  readonly source: string;
  readonly stamp: string;
}

/** What the catalog says of a table's triggers and its leaves: enough to judge any of its columns. */
interface TriggerFacts {
  readonly leaves: readonly string[];
  readonly children: boolean;
  readonly subscribed: boolean;
  readonly triggers: readonly TriggerRow[];
}

/** A row may come to show something else although nobody writes it, and then its cursor stays: the proof ends where the shape does. */
export function bindToShape(proof: CursorProof, { opaque, stamp }: TableShape): CursorProof {
  if ('why' in proof) return proof;
  return opaque === null ? { proof: `${proof.proof} ${stamp}` } : { why: opaque };
}

/** Reads the proof inside the snapshot: a trigger visible there was created after all writers without it had ended. A table that is only appended to needs it for inserts alone. */
export async function proveCursor(session: SourceSession, table: CatalogTable, timeline: string): Promise<CursorProof> {
  const cursor = table.definition.cursor;
  if (cursor === undefined) return { why: 'no cursor is declared' };
  if (cursor.setBy === 'application') return { why: `${cursor.column} is set by the application` };
  const type = table.contract.columns.find((column) => column.name === cursor.column)?.duckdbType;
  if (type !== 'TIMESTAMPTZ') return { why: `${cursor.column} is not a timestamptz` };
  if (table.kind !== 'r' && table.kind !== 'p') return { why: 'a view has no trigger that sets its cursor' };
  const events = table.definition.mode === 'append' ? (['insert'] as const) : WRITES;
  return judge((await readTriggers(session, [table.oid])).get(table.oid), cursor.column, timeline, events);
}

/** The same for many tables (kind r or p) and some of their timestamptz columns at once, in two queries: by table, then by column. */
export async function proveCursors(
  session: SourceSession,
  tables: readonly { readonly oid: string; readonly columns: readonly string[] }[],
  timeline: string,
): Promise<ReadonlyMap<string, ReadonlyMap<string, CursorProof>>> {
  const facts = await readTriggers(
    session,
    tables.map((table) => table.oid),
  );
  return new Map(
    tables.map(({ oid, columns }) => [
      oid,
      new Map(columns.map((column) => [column, judge(facts.get(oid), column, timeline)])),
    ]),
  );
}

/** A partition's copy of its table's trigger counts too: Postgres 14 marks it internal. */
async function readTriggers(
  session: SourceSession,
  oids: readonly string[],
): Promise<ReadonlyMap<string, TriggerFacts>> {
  const shapes = await session.rows<Omit<TriggerFacts, 'triggers'> & { readonly oid: string }>(
    `select r.oid::text as oid, s.leaves, s.subscribed,
            exists (select from pg_inherits h join pg_class p on p.oid = h.inhparent
                     where p.relkind = 'r' and h.inhparent::text = any (s.leaves)) as children
       from unnest($1::oid[]) r (oid)
       cross join lateral (
         select coalesce(array_agg(l.oid::text order by l.oid), '{}') as leaves,
                exists (select from pg_subscription_rel u where u.srrelid = any (array_agg(l.oid))) as subscribed
           from (select t.relid::oid as oid from pg_partition_tree(r.oid::regclass) t where t.isleaf
                 union select r.oid where (select relkind from pg_class where oid = r.oid) = 'r') l
       ) s`,
    [oids],
  );
  const triggers = await session.rows<TriggerRow>(
    `select t.tgrelid::text as relation, t.tgname as name, t.tgtype & 4 = 4 as insert, t.tgtype & 16 = 16 as update,
            t.tgenabled = 'A' as always, t.tgqual is not null or t.tgattr::text <> '' as narrowed,
            l.lanname as language, p.prosrc as source,
            concat_ws(':', t.oid, t.xmin, p.oid, p.xmin) as stamp
       from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_language l on l.oid = p.prolang
      where t.tgrelid = any ($1::oid[]) and (not t.tgisinternal or t.tgparentid <> 0) and t.tgenabled in ('O', 'A') and t.tgtype & 3 = 3
      order by t.tgrelid, t.tgname collate "C"`,
    [shapes.flatMap((shape) => shape.leaves)],
  );
  const byRelation = Map.groupBy(triggers, (trigger) => trigger.relation);
  return new Map(
    shapes.map(({ oid, ...shape }) => [
      oid,
      { ...shape, triggers: shape.leaves.flatMap((leaf) => byRelation.get(leaf) ?? []) },
    ]),
  );
}

const WRITES = ['insert', 'update'] as const;
type Write = (typeof WRITES)[number];

function judge(
  facts: TriggerFacts | undefined,
  column: string,
  timeline: string,
  events: readonly Write[] = WRITES,
): CursorProof {
  if (facts === undefined) return { why: 'the table is gone' };
  if (facts.children) return { why: 'tables inherit from it, and inheritance leaves triggers behind' };
  const stamps = [timeline];
  for (const leaf of facts.leaves) {
    const own = facts.triggers.filter((trigger) => trigger.relation === leaf);
    const problem = leafProblem(own, column, facts.subscribed, events);
    if (problem !== null) return { why: problem };
    stamps.push(leaf, ...own.map((trigger) => trigger.stamp));
  }
  return { proof: stamps.join(' ') };
}

/** Each kind of write must end with a trigger that sets the column in every case, and no trigger after it may touch it. */
function leafProblem(
  triggers: readonly TriggerRow[],
  column: string,
  subscribed: boolean,
  events: readonly Write[],
): string | null {
  for (const event of events) {
    const fired = triggers.filter((trigger) => trigger[event]);
    const at = fired.findLastIndex((trigger) => !trigger.narrowed && setsFromNow(trigger, column));
    const setter = fired[at];
    if (setter === undefined) return `no trigger sets ${column} from now() before every ${event}`;
    const after = fired
      .slice(at + 1)
      .find((trigger) => trigger.language !== 'plpgsql' || mentions(trigger.source, column));
    if (after !== undefined) return `the trigger ${after.name} may set ${column} after ${setter.name}`;
    if (subscribed && !setter.always)
      return `replicated rows skip the trigger ${setter.name} (it is not enabled always)`;
  }
  return null;
}

/** Only a body of plain assignments is accepted: anything conditional could leave the column as it was. */
function setsFromNow(trigger: TriggerRow, column: string): boolean {
  if (trigger.language !== 'plpgsql') return false;
  const body = trigger.source
    .replace(/--[^\n]*/g, ' ')
    .replace(/\/\*[\s\S]*?\*\//g, ' ')
    .trim();
  const block = /^begin\s+((?:new\s*\.\s*[^;]+?:?=[^;]+;\s*)+)return\s+new\s*;\s*end\s*;?$/i.exec(body);
  const statements = block?.[1]?.split(';') ?? [];
  const assignments = statements.flatMap((statement) => {
    const match = /^\s*new\s*\.\s*("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)\s*:?=\s*([\s\S]+?)\s*$/i.exec(statement);
    return match === null ? [] : [{ target: unquote(match[1] ?? ''), value: match[2] ?? '' }];
  });
  const last = assignments.findLast((assignment) => assignment.target === column);
  return last !== undefined && NOW.test(last.value);
}

const NOW =
  /^(?:(?:pg_catalog\s*\.\s*)?(?:now|transaction_timestamp|statement_timestamp|clock_timestamp)\s*\(\s*\)|current_timestamp)$/i;

function unquote(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name.toLowerCase();
}

/** True when a function might write the column: it names it, or writes NEW whole or by a name computed at run time. */
function mentions(source: string, column: string): boolean {
  const text = source.toLowerCase();
  return text.includes(column.toLowerCase()) || /\bexecute\b|\bnew\s*:?=|\binto\s+new\b|json|record|hstore/.test(text);
}

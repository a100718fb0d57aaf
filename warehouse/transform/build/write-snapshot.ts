import type { AsOf, BronzeSnapshot } from '../../core/bronze-table.ts';
import { SluiceError } from '../../core/errors.ts';
import { quoteIdentifier } from '../../core/quote.ts';
import type { ModelState } from '../../core/release.ts';
import type { CompiledModel, CompiledProject, SnapshotRule } from '../model.ts';
import { IS_CURRENT, IS_DELETED, SNAPSHOT_COLUMNS, VALID_FROM, VALID_TO } from '../snapshot-rule.ts';
import { createMatcher, differRows } from './row-difference.ts';
import { findMoments, mountMoment } from './snapshot-moments.ts';
import { openEndSql, type SnapshotStep, takeStep, WORK } from './snapshot-step.ts';
import { countRows, inTransaction, type StoredColumn, sameColumns } from './warehouse-engine.ts';
import { changesName, changesTable, pathOf, type WriteFacts, type Written } from './write-table.ts';

/** Brings a snapshot to the present, moment by moment, and writes the versions that were closed or opened. */

export interface SnapshotFacts extends WriteFacts {
  readonly project: CompiledProject;
  readonly bronze: BronzeSnapshot;
  readonly asOf: AsOf;
  /** The snapshot whose history goes on; undefined when it begins with this build. */
  readonly state: ModelState | undefined;
}

const CARRIED = quoteIdentifier('_sluice_carried');
const REWRITTEN = quoteIdentifier('_sluice_rewritten');

/** Errors: KEY_NOT_UNIQUE, SNAPSHOT_TIME_INVALID, SNAPSHOT_HISTORY. */
export async function writeSnapshot(facts: SnapshotFacts): Promise<Written> {
  const { db, model, relation, project, bronze, asOf, state } = facts;
  const rule = ruleOf(model);
  const path = pathOf(model);
  const columns = model.boundColumns;
  const isKept = state !== undefined && relation?.kind === 'table';
  const isCarried = isKept && !sameColumns(relation.columns, columns);
  try {
    if (isCarried) await db.run(`create or replace temp table ${CARRIED} as ${await carriedSql(facts, rule, path)}`);
    const history = isCarried ? CARRIED : path;
    if (isKept && state.fingerprint !== model.fingerprint) await requireNoOverlap(facts, rule, history);
    const step: SnapshotStep = {
      db,
      model,
      rule,
      columns: columns.filter(({ name }) => !SNAPSHOT_COLUMNS.includes(name)),
      closedBefore: isKept ? `select * from ${history} where not ${IS_CURRENT}` : undefined,
    };
    const current = `select * from ${history} where ${IS_CURRENT}`;
    await db.run(
      `create or replace temp table ${WORK} as ${
        isKept ? `select * replace (${openEndSql(rule)} as ${VALID_TO}) from (${current})` : emptySql(columns)
      }`,
    );
    const seen = await seeMoments(
      { db, project, model, bronze, asOf, consumed: isKept ? state.consumed : undefined },
      step,
    );
    const note = `${seen} ${seen === 1 ? 'moment' : 'moments'} seen`;
    if (!isKept) return await writeWhole(facts, path, note);
    const written = await writeDifference(facts, { path, current, rule, isCarried });
    return { ...written, note };
  } finally {
    await db.run(`drop table if exists ${WORK}; drop table if exists ${CARRIED}; drop table if exists ${REWRITTEN}`);
  }
}

async function seeMoments(facts: Parameters<typeof findMoments>[0], step: SnapshotStep): Promise<number> {
  const moments = await findMoments(facts);
  const isReplayed = moments.some(({ upTo }) => upTo !== undefined);
  try {
    for (const moment of moments) {
      if (isReplayed) await mountMoment(facts, moment);
      await takeStep(step, moment.instant);
    }
  } finally {
    if (isReplayed) await mountMoment(facts, undefined);
  }
  return moments.length;
}

function ruleOf(model: CompiledModel): SnapshotRule {
  if (model.snapshot !== undefined) return model.snapshot;
  throw new SluiceError('INTERNAL', `${model.name} is a snapshot without a rule.`);
}

function emptySql(columns: readonly StoredColumn[]): string {
  return `select ${columns.map(({ name, type }) => `null::${type} as ${quoteIdentifier(name)}`).join(', ')} where false`;
}

/** A history that begins with this build. The same as what stands there already is not written. */
async function writeWhole({ db, model, relation }: SnapshotFacts, path: string, note: string): Promise<Written> {
  const columns = model.boundColumns;
  const rows = await countRows(db, WORK);
  if (relation?.kind === 'table' && sameColumns(relation.columns, columns)) {
    const table = changesTable(model);
    const before = `select * from ${path}`;
    const difference = await differRows(db, table, { before, after: `select * from ${WORK}`, columns });
    await db.run(`drop table ${table}`);
    if (difference.rows === 0)
      return { changed: false, rows, changedRows: 0, columns, note: `${note}; the same content` };
  }
  await inTransaction(db, async () => {
    if (relation !== undefined) await db.run(`drop ${relation.kind} ${path}`);
    await db.run(`create table ${path} as select * from ${WORK}`);
  });
  return { changed: true, rows, changedRows: rows, columns, note };
}

async function writeDifference(
  { db, model }: SnapshotFacts,
  facts: { readonly path: string; readonly current: string; readonly rule: SnapshotRule; readonly isCarried: boolean },
): Promise<Written> {
  const { path, current, isCarried } = facts;
  const columns = model.boundColumns;
  const difference = await differRows(db, changesTable(model), {
    before: current,
    after: `select * from ${WORK}`,
    columns,
  });
  if (difference.rows === 0 && !isCarried) {
    return { changed: false, rows: await countRows(db, path), changedRows: 0, columns };
  }
  const identity = [...facts.rule.key, VALID_FROM];
  const list = identity.map(quoteIdentifier).join(', ');
  await db.run(`create or replace temp table ${REWRITTEN} as select distinct ${list} from ${difference.table}`);
  const isRewritten = await createMatcher(db, identity, REWRITTEN);
  await inTransaction(db, async () => {
    if (isCarried) await db.run(`create or replace table ${path} as select * from ${CARRIED}`);
    if (difference.rows === 0) return;
    await db.run(`delete from ${path} as old where ${isRewritten('old')}`);
    await db.run(`insert into ${path} by name select * from ${WORK} as next where ${isRewritten('next')}`);
  });
  const rows = await countRows(db, path);
  return {
    changed: true,
    rows,
    changedRows: isCarried ? rows : difference.rows,
    columns,
    ...(!isCarried && { changes: changesName(model) }),
  };
}

/** The history in the columns declared now: added ones NULL, changed types only where every value survives the way there and back. */
async function carriedSql({ db, model, relation }: SnapshotFacts, rule: SnapshotRule, path: string): Promise<string> {
  const stored = new Map((relation?.columns ?? []).map((column) => [column.name.toLowerCase(), column]));
  const list: string[] = [];
  for (const { name, type } of model.boundColumns) {
    const old = stored.get(name.toLowerCase());
    const column = quoteIdentifier(name);
    if (old === undefined) list.push(`${name === IS_DELETED ? 'false' : `null::${type}`} as ${column}`);
    else if (old.type === type) list.push(`${column} as ${column}`);
    else {
      await requireLossless({ db, model }, path, old, type, rule);
      list.push(`${column}::${type} as ${column}`);
    }
  }
  return `select ${list.join(', ')} from ${path}`;
}

async function requireLossless(
  { db, model }: Pick<SnapshotFacts, 'db' | 'model'>,
  path: string,
  { name, type }: StoredColumn,
  to: string,
  rule: SnapshotRule,
): Promise<void> {
  const column = quoteIdentifier(name);
  const keys = rule.key.map(quoteIdentifier).join(', ');
  const [row] = await db.rows<Record<string, string | null>>(
    `select columns(*)::varchar from (select ${keys}, ${column} as _sluice_value from ${path}
     where try_cast(try_cast(${column} as ${to}) as ${type}) is distinct from ${column} order by all limit 1)`,
  );
  if (row === undefined) return;
  throw new SluiceError(
    'SNAPSHOT_HISTORY',
    `${model.name} (${model.file}): ${name} was ${type} and is ${to} now, which cannot carry ${row['_sluice_value'] ?? 'NULL'} of its history.`,
    {
      remedy: `Keep the type of ${name}, give the new one another name, or let the history go: --drop-history ${model.name}.`,
      details: { model: model.name, column: name, row },
    },
  );
}

/** After a changed definition the versions of one key may be those of several earlier ones. */
async function requireNoOverlap({ db, model }: SnapshotFacts, rule: SnapshotRule, history: string): Promise<void> {
  const keys = rule.key.map(quoteIdentifier).join(', ');
  const end = `case when ${IS_CURRENT} then 'infinity'::timestamptz else ${VALID_TO} end`;
  const [row] = await db.rows<Record<string, string | null>>(
    `select columns(*)::varchar from (
       select ${keys}, ${VALID_FROM}, max(${end}) over (
         partition by ${keys} order by ${VALID_FROM} rows between unbounded preceding and 1 preceding) as _sluice_ended
       from ${history} qualify _sluice_ended > ${VALID_FROM} order by all limit 1)`,
  );
  if (row === undefined) return;
  const shown = rule.key.map((name) => `${name} ${row[name] ?? 'NULL'}`).join(', ');
  throw new SluiceError(
    'SNAPSHOT_HISTORY',
    `${model.name} (${model.file}): under the key ${rule.key.join(', ')} versions of its history overlap: ${shown} at ${row[VALID_FROM] ?? ''}.`,
    {
      remedy: `Keep the key it was recorded under, or let the history go: --drop-history ${model.name}.`,
      details: { model: model.name, key: rule.key, row },
    },
  );
}

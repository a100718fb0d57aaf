import type { StoredShape } from '../../core/release.ts';
import type { AstNode } from '../ast.ts';
import { canonicalQuery } from '../canonical-query.ts';
import { reach } from '../graph.ts';
import type { BoundColumn } from '../sql-engine.ts';
import { hashOf, type QueryPart, type QueryShape, type ShapeContext, toPart } from './query-shape.ts';

/** What a model's rows and each of its columns are made of: how the plan tells which columns a change reaches, and which models it does not. */
export interface ModelShape {
  /** Its own text alone: query, macros and the header's facts, whatever it reads. */
  readonly own: string;
  /** What decides which rows there are, views looked through. */
  readonly rows: string;
  /** Output column → what decides its values, beside the rows. */
  readonly columns: Readonly<Record<string, string>>;
  /** Columns of its direct dependencies, as <table>.<column>, that the rows and each output column read. */
  readonly reads: { readonly rows: readonly string[]; readonly columns: Readonly<Record<string, readonly string[]>> };
}

/** The part of a shape that a release keeps. */
export function storedShape({ own, rows, columns }: ModelShape): StoredShape {
  return { own, rows, columns };
}

/** A table or view that a query reads. */
export interface UpstreamTable {
  readonly name: string;
  readonly columns: readonly BoundColumn[];
  /** Of a view: its SQL is part of this query. */
  readonly view?: ModelShape;
}

/** What a model takes of a table upstream, for its fingerprint: a column that it never names cannot change it. */
export interface UpstreamUse {
  readonly name: string;
  readonly columns: readonly (readonly string[])[];
  readonly rows: string | null;
}

export interface ShapeFacts {
  /** Of its canonical query. */
  readonly query: QueryShape;
  /** Macros it calls, however deep. */
  readonly macros: ReadonlyMap<string, AstNode>;
  readonly upstream: readonly UpstreamTable[];
  readonly columns: readonly BoundColumn[];
  /** Header facts that are part of the model's own text. */
  readonly header: unknown;
}

export function shapeModel(facts: ShapeFacts): { readonly shape: ModelShape; readonly uses: readonly UpstreamUse[] } {
  const { query: shape, macros, upstream, columns, header } = facts;
  const bodies = new Map([...macros].map(([name, body]) => [name, partOf(body)]));
  const everything = [shape.rows, ...[...shape.items.values()].flat()];
  const used = new Set<string>();
  for (const { names } of [...everything, ...bodies.values()]) for (const name of names) used.add(name);
  const isWide = (table: string): boolean => shape.wide === 'all' || shape.wide.has(table);

  const byName = new Map<string, { readonly read: string; readonly atom: string }[]>();
  for (const table of upstream) {
    if (isWide(table.name)) continue;
    for (const column of table.columns) {
      const name = column.name.toLowerCase();
      if (!used.has(name)) continue;
      const named = { read: `${table.name}.${column.name}`, atom: atomOf(table, column) };
      const same = byName.get(name);
      if (same === undefined) byName.set(name, [named]);
      else same.push(named);
    }
  }

  const partAtoms = new Map(everything.map((part) => [part, atomOfPart(part)]));
  const macroAtoms = new Map([...bodies].map(([name, body]) => [name, `${name}:${body.hash}`]));

  /** Everything a part is made of: the items its names may mean, their items, and the columns upstream. */
  const follow = (start: QueryPart) => {
    const parts = new Set([start]);
    const names = new Set<string>();
    const called = new Set<string>();
    const take = (name: string): void => {
      names.add(name);
      for (const item of shape.items.get(name) ?? []) parts.add(item);
    };
    for (const part of parts) {
      for (const name of part.names) take(name);
      for (const name of part.functions) {
        const body = bodies.get(name);
        if (body === undefined) continue;
        called.add(name);
        // A macro may call others, and name columns of the query that calls it.
        for (const [other, inner] of reachMacros(name, bodies)) {
          called.add(other);
          for (const inside of inner.names) take(inside);
        }
      }
    }
    const reads: string[] = [];
    const atoms = [start.hash];
    for (const name of names) {
      for (const { read, atom } of byName.get(name) ?? []) {
        reads.push(read);
        atoms.push(atom);
      }
    }
    for (const part of parts) if (part !== start) atoms.push(partAtoms.get(part) ?? '');
    for (const name of called) atoms.push(macroAtoms.get(name) ?? '');
    return { reads: reads.sort(), atoms: atoms.sort() };
  };

  const whole = upstream.filter(({ name }) => isWide(name));
  const rows = follow(shape.rows);
  const rowsHash = hashOf([
    rows.atoms,
    whole.map((table) => [table.name, table.columns.map((column) => atomOf(table, column))]),
    upstream.map(({ name, view }) => [name, view?.rows ?? null]),
  ]);
  const byColumn = columns.map(({ name }) => {
    const part = shape.outputs?.get(name.toLowerCase());
    const followed = part === undefined ? undefined : follow(part);
    return { name, hash: followed === undefined ? rowsHash : hashOf(followed.atoms), reads: followed?.reads ?? [] };
  });
  return {
    shape: {
      own: hashOf([[...partAtoms.values()].sort(), [...macroAtoms.values()].sort(), header]),
      rows: rowsHash,
      columns: Object.fromEntries(byColumn.map(({ name, hash }) => [name, hash])),
      reads: {
        rows: [
          ...rows.reads,
          ...whole.flatMap((table) => table.columns.map((column) => `${table.name}.${column.name}`)),
        ].sort(),
        columns: Object.fromEntries(byColumn.map(({ name, reads }) => [name, reads])),
      },
    },
    uses: upstream.map((table) => ({
      name: table.name,
      columns: table.columns
        .filter(({ name }) => isWide(table.name) || used.has(name.toLowerCase()))
        .map((column) => [column.name, column.type, table.view?.columns[column.name] ?? '']),
      rows: table.view?.rows ?? null,
    })),
  };
}

function atomOfPart({ place, hash }: QueryPart): string {
  return `${place}=${hash}`;
}

function atomOf(table: UpstreamTable, { name, type }: BoundColumn): string {
  return `${table.name}.${name}:${type}:${table.view?.columns[name] ?? ''}`;
}

/** Functions seen through the macros that call them. */
export function createShapeContext(
  aggregates: ReadonlySet<string>,
  macros: ReadonlyMap<string, AstNode>,
): ShapeContext {
  const calls = (start: string, isWanted: (name: string) => boolean): boolean =>
    reach([start], (name) => {
      const body = macros.get(name);
      return body === undefined ? [] : [...partOf(body).functions];
    })
      .values()
      .some(isWanted) || isWanted(start);
  const remembered = (wanted: ReadonlySet<string>) => {
    const answers = new Map<string, boolean>();
    return (name: string): boolean => {
      const answer = answers.get(name) ?? calls(name, (called) => wanted.has(called));
      answers.set(name, answer);
      return answer;
    };
  };
  return { isAggregate: remembered(aggregates), makesRows: remembered(ROW_MAKERS) };
}

/** DuckDB's functions that turn one row of a select list into several. */
const ROW_MAKERS: ReadonlySet<string> = new Set(['unnest', 'unlist', 'generate_subscripts']);

/** A macro's body is asked for by every model that calls it. */
function partOf(body: AstNode): QueryPart {
  const found = parts.get(body) ?? toPart(canonicalQuery(body));
  parts.set(body, found);
  return found;
}

const parts = new WeakMap<AstNode, QueryPart>();

function reachMacros(start: string, bodies: ReadonlyMap<string, QueryPart>): ReadonlyMap<string, QueryPart> {
  const found = new Map<string, QueryPart>();
  const queue = [start];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    const body = bodies.get(name);
    if (body === undefined || found.has(name)) continue;
    found.set(name, body);
    queue.push(...body.functions);
  }
  return found;
}

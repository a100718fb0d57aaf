/** Order of models by their dependencies. Pure: names in, names out. */

export interface GraphNode {
  readonly name: string;
  readonly dependencies: readonly string[];
}

export interface Graph {
  /** Every name after those it depends on; ties in alphabetical order. Names in or behind a cycle are left out. */
  readonly order: readonly string[];
  /** The same names in groups: each group depends on earlier ones only. */
  readonly levels: readonly (readonly string[])[];
  /** Each cycle once, as a path whose last name repeats the first. */
  readonly cycles: readonly (readonly string[])[];
}

/** Dependencies that are not nodes themselves (bronze tables) are ignored. */
export function orderGraph(nodes: readonly GraphNode[]): Graph {
  const known = new Set(nodes.map((node) => node.name));
  const waiting = new Map<string, Set<string>>();
  const readers = new Map<string, string[]>();
  for (const { name, dependencies } of nodes) {
    const on = new Set(dependencies.filter((other) => known.has(other)));
    waiting.set(name, on);
    for (const other of on) {
      const list = readers.get(other);
      if (list === undefined) readers.set(other, [name]);
      else list.push(name);
    }
  }
  const levels: string[][] = [];
  let ready = [...waiting].filter(([, on]) => on.size === 0).map(([name]) => name);
  while (ready.length > 0) {
    const next: string[] = [];
    levels.push(ready.sort());
    for (const name of ready) {
      waiting.delete(name);
      for (const reader of readers.get(name) ?? []) {
        const on = waiting.get(reader);
        if (on?.delete(name) === true && on.size === 0) next.push(reader);
      }
    }
    ready = next;
  }
  return { order: levels.flat(), levels, cycles: findCycles(waiting) };
}

/** Walks what is left: every remaining name waits for another, so following the smallest leads into a cycle. */
function findCycles(waiting: ReadonlyMap<string, ReadonlySet<string>>): readonly (readonly string[])[] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const start of [...waiting.keys()].sort()) {
    const path: string[] = [];
    let name: string | undefined = start;
    while (name !== undefined && !done.has(name) && !path.includes(name)) {
      path.push(name);
      name = [...(waiting.get(name) ?? [])].sort()[0];
    }
    if (name !== undefined && path.includes(name)) {
      const cycle = path.slice(path.indexOf(name));
      const first = cycle.indexOf([...cycle].sort()[0] ?? '');
      cycles.push([...cycle.slice(first), ...cycle.slice(0, first), cycle[first] ?? '']);
    }
    for (const visited of path) done.add(visited);
  }
  return cycles;
}

/** All names that the given ones depend on, however far, themselves left out unless in a cycle. */
export function reach(starts: Iterable<string>, next: (name: string) => readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const queue = [...starts];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    for (const other of next(name)) {
      if (found.has(other)) continue;
      found.add(other);
      queue.push(other);
    }
  }
  return found;
}

/** Order of models by their dependencies. Pure: names in, names out. */

export interface GraphNode {
  readonly name: string;
  readonly dependencies: readonly string[];
}

export interface Graph {
  /** Every name after those it depends on; ties in alphabetical order. Names in or behind a cycle are left out. */
  readonly order: readonly string[];
  /** Each cycle once, as a path whose last name repeats the first. */
  readonly cycles: readonly (readonly string[])[];
}

/** Dependencies that are not nodes themselves (bronze tables) are ignored. */
export function orderGraph(nodes: readonly GraphNode[]): Graph {
  const known = new Map(nodes.map((node) => [node.name, node]));
  const waiting = new Map(
    nodes.map((node) => [node.name, new Set(node.dependencies.filter((name) => known.has(name)))]),
  );
  const order: string[] = [];
  for (;;) {
    const ready = [...waiting].filter(([, on]) => on.size === 0).map(([name]) => name);
    if (ready.length === 0) break;
    for (const name of ready.sort()) {
      order.push(name);
      waiting.delete(name);
    }
    for (const on of waiting.values()) for (const name of ready) on.delete(name);
  }
  return { order, cycles: findCycles(waiting) };
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

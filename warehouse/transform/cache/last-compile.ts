import { type Graph, type GraphNode, orderGraph } from '../graph.ts';
import type { CompileCache } from './compile-cache.ts';
import type { CachedModel } from './stored-model.ts';

/** What a process that compiles a project again and again need not find out again: kept beside its open cache, never written. */
export interface LastCompile {
  /** The cache's models as that compile left them. */
  readonly models: ReadonlyMap<string, CachedModel>;
  readonly faces: ReadonlyMap<string, string>;
  readonly macroFiles: string;
  readonly ordered: OrderedGraph;
}

export interface OrderedGraph {
  readonly nodes: readonly GraphNode[];
  readonly graph: Graph;
}

const last = new WeakMap<CompileCache, LastCompile>();

export function lastCompileOf(cache: CompileCache): LastCompile | undefined {
  return last.get(cache);
}

export function rememberCompile(cache: CompileCache, compile: LastCompile): void {
  last.set(cache, compile);
}

/** True when an entry held in that compile and nothing that its key is made of has changed since. */
export function holdsStill(
  entry: CachedModel,
  { faces, macroFiles }: { readonly faces: ReadonlyMap<string, string>; readonly macroFiles: string },
  before: LastCompile | undefined,
): boolean {
  return (
    before !== undefined &&
    before.models.get(entry.file) === entry &&
    before.macroFiles === macroFiles &&
    // A snapshot's key reaches further up than the tables it names.
    !entry.isSnapshot &&
    entry.dependencies.every((name) => before.faces.get(name) === faces.get(name))
  );
}

/** The order of the graph; as it was when the graph is the same. */
export function orderAgain(nodes: readonly GraphNode[], before: OrderedGraph | undefined): OrderedGraph {
  const isSame =
    before !== undefined &&
    before.nodes.length === nodes.length &&
    nodes.every((node, i) => isSameNode(node, before.nodes[i]));
  return { nodes, graph: isSame ? before.graph : orderGraph(nodes) };
}

function isSameNode({ name, dependencies }: GraphNode, other: GraphNode | undefined): boolean {
  if (name !== other?.name) return false;
  const others = other.dependencies;
  return (
    dependencies === others ||
    (dependencies.length === others.length && dependencies.every((on, i) => on === others[i]))
  );
}

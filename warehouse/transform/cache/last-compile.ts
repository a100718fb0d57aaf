import { type Graph, type GraphNode, orderGraph } from '../graph.ts';
import type { CompileCache } from './compile-cache.ts';
import type { CachedModel } from './stored-model.ts';

/** What a process that compiles a project again and again need not find out again: kept beside its open cache, never written. */
export interface LastCompile {
  /** The cache's models as that compile left them, each of the face that is among `faces`. */
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

/** What is the same as in the compile before: nothing, where none was made with this very cache. */
export interface Unmoved {
  /** To be told of each table that was not taken from the cache. */
  showed(name: string, face: string): void;
  /** True when an entry held in that compile and nothing that its key is made of has changed since; all it reads is there. */
  holdsStill(entry: CachedModel): boolean;
  /** True when a table that is there shows what it did. */
  isAsBefore(name: string): boolean;
}

/** `models`: of the cache, as this compile found them. */
export function compareWith(
  before: LastCompile | undefined,
  { models, macroFiles }: Pick<LastCompile, 'models' | 'macroFiles'>,
): Unmoved {
  /** Tables that show their readers something else now, or are new. */
  const moved = new Set<string>();
  // Entries that another compile left say nothing of these faces.
  const last = before?.models === models ? before : undefined;
  const isAsBefore = (name: string): boolean => last !== undefined && !moved.has(name);
  const isSame = last?.macroFiles === macroFiles;
  return {
    showed: (name, face) => {
      if (last !== undefined && last.faces.get(name) !== face) moved.add(name);
    },
    // A snapshot's key reaches further up than the tables it names.
    holdsStill: (entry) => isSame && !entry.isSnapshot && entry.dependencies.every(isAsBefore),
    isAsBefore,
  };
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

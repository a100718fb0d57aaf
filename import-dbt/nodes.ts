import { printValue, type Value } from './jinja/index.ts';
import { type LayerRules, type Placement, placeModel, toTableName } from './place-models.ts';
import type { DbtProject, SourceFile } from './read-project.ts';
import type { NodeProperties, Properties } from './read-properties.ts';
import { toFields, toText } from './yaml-file.ts';

/** All that ref() can name, and the table that each becomes. */
export interface DbtNode {
  readonly name: string;
  readonly kind: 'model' | 'seed' | 'snapshot';
  readonly file: SourceFile;
  readonly properties: NodeProperties | undefined;
  readonly placement: Placement;
}

/** A seed's place: silver, so that every model may read it. */
const SEED_LAYER = 'silver';

export function listNodes(project: DbtProject, properties: Properties, rules: LayerRules): Map<string, DbtNode> {
  const nodes = new Map<string, DbtNode>();
  const add = (node: DbtNode): void => void nodes.set(node.name, node);
  for (const file of project.seeds) {
    const placement: Placement = { layer: SEED_LAYER, domain: 'seeds', table: toTableName(file.name) };
    add({ name: file.name, kind: 'seed', file, properties: properties.seeds.get(file.name), placement });
  }
  for (const file of project.models.filter(({ file: path }) => path.endsWith('.sql'))) {
    const versions = versionsOf(properties.models.get(file.name.replace(/_v\d+$/, '')));
    const owner = versions.length > 0 ? file.name.replace(/_v\d+$/, '') : file.name;
    const placement = placeModel(file, project.name, rules);
    add({ name: file.name, kind: 'model', file, properties: properties.models.get(owner), placement });
  }
  for (const file of project.snapshots) {
    for (const match of file.text.matchAll(/\{%-?\s*snapshot\s+(\w+)\s*-?%\}/g)) {
      const name = match[1] ?? '';
      const placement = {
        ...placeModel({ folders: file.folders, name: `snap_${name}` }, project.name, rules),
        table: toTableName(name),
      };
      add({ name, kind: 'snapshot', file, properties: properties.snapshots.get(name), placement: asSilver(placement) });
    }
  }
  for (const [name, found] of properties.snapshots) {
    if (nodes.has(name) || toText(found.fields['relation']) === undefined) continue;
    const file: SourceFile = { file: found.file, text: '', folders: [], name };
    const placement = asSilver({
      ...placeModel({ folders: [], name: `snap_${name}` }, project.name, rules),
      table: toTableName(name),
    });
    add({ name, kind: 'snapshot', file, properties: found, placement });
  }
  return nodes;
}

const asSilver = (placement: Placement): Placement => ({ ...placement, layer: 'silver' });

function versionsOf(properties: NodeProperties | undefined): readonly unknown[] {
  const versions = properties?.fields['versions'];
  return Array.isArray(versions) ? versions : [];
}

/** The node that ref(name, v=version) means: of a model with versions the latest, when none is asked for. */
export function findNode(
  nodes: ReadonlyMap<string, DbtNode>,
  properties: Properties,
  name: string,
  version: Value,
): DbtNode | undefined {
  const declared = properties.models.get(name);
  const versions = versionsOf(declared);
  if (versions.length === 0) return nodes.get(name);
  const numbers = versions.flatMap((item) => toText(toFields(item)['v']) ?? []);
  const latest = toText(declared?.fields['latest_version']) ?? numbers.toSorted((a, b) => Number(a) - Number(b)).at(-1);
  const wanted = version === undefined || version === null ? latest : printValue(version);
  return nodes.get(`${name}_v${wanted}`) ?? nodes.get(name);
}

export function tableOf({ placement }: DbtNode): string {
  return `${placement.layer}.${placement.table}`;
}

/** Nodes by what they read, those first that others read; circles are left to the compiler. */
export function orderNodes(names: readonly string[], reads: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const order: string[] = [];
  const seen = new Set<string>();
  const visit = (name: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const other of reads.get(name) ?? []) visit(other);
    order.push(name);
  };
  for (const name of names) visit(name);
  return order;
}

import type { Layer } from '../warehouse/transform/index.ts';
import type { SourceFile } from './read-project.ts';

/** Where a model goes: sql/<layer>/<domain>/<table>.sql. */
export interface Placement {
  readonly layer: Layer;
  readonly domain: string;
  readonly table: string;
  /** Set when the layer is not that of its folder or name. */
  readonly moved?: string;
}

/** Layers that a user gives to folders, longest path first. */
export type LayerRules = readonly { readonly folder: string; readonly layer: Layer }[];

const SILVER_FOLDERS = new Set([
  'staging',
  'stage',
  'stg',
  'base',
  'raw',
  'bronze',
  'silver',
  'intermediate',
  'int',
  'prep',
  'snapshots',
]);
const GOLD_FOLDERS = new Set([
  'marts',
  'mart',
  'gold',
  'reporting',
  'reports',
  'analytics',
  'presentation',
  'metrics',
  'exports',
]);
const SILVER_NAMES = /^(stg|base|int|src|prep|snap)_/;
const GOLD_NAMES = /^(fct|fact|dim|mart|rpt|agg|report|metrics?|obt)_/;

/** The layer by the user's rules, else by the folders' names from the top, else by the name; silver when nothing says more. */
export function placeModel(
  file: Pick<SourceFile, 'folders' | 'name'>,
  projectName: string,
  rules: LayerRules,
): Placement {
  const table = toTableName(file.name);
  const path = file.folders.join('/');
  const rule = rules.find(({ folder }) => path === folder || path.startsWith(`${folder}/`));
  if (rule !== undefined) {
    const depth = rule.folder.split('/').length;
    return {
      layer: rule.layer,
      table,
      domain: toDomain(file.folders[depth] ?? file.folders[depth - 1] ?? projectName),
    };
  }
  const at = file.folders.findIndex((folder) => SILVER_FOLDERS.has(folder) || GOLD_FOLDERS.has(folder));
  const word = file.folders[at];
  if (word !== undefined) {
    const layer = GOLD_FOLDERS.has(word) ? 'gold' : 'silver';
    return { layer, table, domain: toDomain(file.folders[at + 1] ?? file.folders[at - 1] ?? projectName) };
  }
  const layer = GOLD_NAMES.test(table) && !SILVER_NAMES.test(table) ? 'gold' : 'silver';
  return { layer, table, domain: toDomain(file.folders[0] ?? projectName) };
}

/** A silver model may not read gold: those that do move to gold, and those that read them, until none is left. */
export function settleLayers(
  placements: ReadonlyMap<string, Placement>,
  reads: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, Placement> {
  const settled = new Map(placements);
  for (let moved = true; moved; ) {
    moved = false;
    for (const [name, placement] of settled) {
      if (placement.layer === 'gold') continue;
      const gold = (reads.get(name) ?? []).find((other) => settled.get(other)?.layer === 'gold');
      if (gold === undefined) continue;
      settled.set(name, { ...placement, layer: 'gold', moved: `it reads gold.${settled.get(gold)?.table ?? gold}` });
      moved = true;
    }
  }
  return settled;
}

/** Sluice's table names: lower-case letters, digits and _, a letter first. */
export function toTableName(name: string): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  return /^[a-z]/.test(plain) ? plain : `t_${plain}`;
}

function toDomain(folder: string): string {
  return folder.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_') || 'main';
}

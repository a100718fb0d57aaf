import type { DbtProject, SourceFile } from './read-project.ts';
import { type Fields, toFields, toTexts } from './yaml-file.ts';

/** A node's configuration: what dbt_project.yml says for its folders, over it the properties file, over it its own config(). */

/** Tags and meta gather; everything else is replaced by what is nearer. */
export function mergeConfig(...levels: readonly Fields[]): Fields {
  const merged: Record<string, unknown> = {};
  for (const level of levels) {
    for (const [key, value] of Object.entries(level)) {
      if (key === 'tags') merged[key] = [...new Set([...toTexts(merged[key]), ...toTexts(value)])];
      else if (key === 'meta') merged[key] = { ...toFields(merged[key]), ...toFields(value) };
      else merged[key] = value;
    }
  }
  return merged;
}

/** What the tree under `models:`, `seeds:` … says about a file: keys with `+`, and keys that hold no map. */
export function configOfFolder(project: DbtProject, kind: string, node: Pick<SourceFile, 'folders' | 'name'>): Fields {
  const levels: Fields[] = [];
  let tree = toFields(toFields(project.settings.value)[kind]);
  levels.push(ownConfig(tree));
  for (const step of [project.name, ...node.folders, node.name]) {
    if (!(step in tree)) break;
    tree = toFields(tree[step]);
    levels.push(ownConfig(tree));
  }
  return mergeConfig(...levels);
}

function ownConfig(tree: Fields): Fields {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([key, value]) => key.startsWith('+') || typeof value !== 'object' || Array.isArray(value))
      .map(([key, value]) => [key.replace(/^\+/, ''), value]),
  );
}

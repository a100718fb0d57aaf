import { isMap, isNode, isPair, isSeq, LineCounter, parseDocument } from 'yaml';
import { SluiceError } from '../warehouse/core/errors.ts';

/** A YAML file as plain data, and the line of each part. */
export interface YamlFile {
  readonly file: string;
  readonly value: unknown;
  /** The line of a key or item; of the nearest part around it when there is none. */
  lineOf(...path: readonly (string | number)[]): number;
}

/** Errors: DBT_PROJECT_INVALID with file, line and column. */
export function readYaml(file: string, text: string): YamlFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new SluiceError('DBT_PROJECT_INVALID', `${file}:${line}:${col}: ${error.message}`, {
      remedy: 'Correct the YAML; dbt would refuse it as well. Nothing was written.',
      details: { file, line, column: col },
    });
  }
  return {
    file,
    value: document.toJS({ maxAliasCount: 100 }) ?? {},
    lineOf: (...path) => {
      let node: unknown = document.contents;
      let offset = 0;
      for (const step of path) {
        if (isMap(node)) {
          const pair = node.items.find((item) => isPair(item) && String(item.key) === String(step));
          if (pair === undefined) break;
          if (isNode(pair.key)) offset = pair.key.range?.[0] ?? offset;
          node = pair.value;
        } else if (isSeq(node)) {
          node = node.items[Number(step)];
          if (isNode(node)) offset = node.range?.[0] ?? offset;
        } else break;
      }
      return lines.linePos(offset).line;
    },
  };
}

export type Fields = Readonly<Record<string, unknown>>;

/** A map of YAML; anything else is an empty one. */
export function toFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function toItems(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

export function toText(value: unknown): string | undefined {
  return typeof value === 'string'
    ? value
    : typeof value === 'number' || typeof value === 'boolean'
      ? String(value)
      : undefined;
}

export function toTexts(value: unknown): readonly string[] {
  return toItems(value).flatMap((item) => toText(item) ?? []);
}
